// Package recover kills the built switch and starts it again, and looks from outside at what has become of registrations, calls, their media and
// their records. Its only files are tests.
package recover

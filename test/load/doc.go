// Package load calls the built switch a hundred times a second with SIPp, a load generator that shares nothing with
// it, and looks afterwards at what is left. All it holds is tests.
package load

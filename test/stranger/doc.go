// Package stranger treats the built switch as somebody does who wishes it ill, or who breaks down in the middle of
// a call: from outside, with sockets of its own. All it holds is tests.
package stranger

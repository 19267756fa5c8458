// Package configs loads a configuration whole or not at all, and holds the files that we ship: the demo, the examples
// and the systemd unit.
//
// A configuration is a folder. Every *.hcl and *.hcl.json file in it is one part, in any order. Load reads all of them,
// composes the Config of each room, compiles the dialplan and gives either a Config that every room can start with or
// all mistakes at once, each with its place, the source line and, where there is one, a suggestion.
//
// It opens the files that the configuration names (tables, secrets, certificates) to see that they are right, and no
// socket. The command line and the node call it, at start and at reload; nothing on the path of a call does.
package configs

// Package dialplan decides where a call goes. It compiles the blocks class, numbering, extension, ring_group, schedule,
// block_list, emergency, flow, route, routes and test of a configuration into a Plan, which never changes afterwards,
// and a Plan answers with one pure function:
//
//	Plan.Route(facts) → Decision
//
// The same function routes live calls, the dry run of the command line (Explain), tests (Try, Test), the replay of old
// calls (Replay) and the comparison of two plans (Compare), so all of them agree. It opens no socket and no file, starts
// no goroutine, reads no clock and keeps nothing between two calls: what it must know about the moment (the time, whose
// turn it is in a ring group, what has been used up, switched or forwarded) is in the facts.
//
// A call passes through it in this order, a step a function, in route.go, limit.go and emergency.go:
//
//	who is calling → emergency → numbering → what the class may dial → limits → block lists → match → steps
//
// Emergency numbers are looked for as they were dialled, so nothing that comes later can hide them.
//
// Patterns are a language small enough to be decided (pattern.go): whether one lies inside another, or two overlap, is
// computed and not guessed, so a route that shadows another by accident is an error at load that names both lines and
// a number that both match.
//
// Names of the language that this version does not carry out (notyet.go) are known and refused with a message, never
// ignored.
package dialplan

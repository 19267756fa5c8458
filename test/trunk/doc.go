// Package trunk calls through the built switch over carriers that are not ours: Debian's kamailio as a registrar with
// digest and a proxy behind it, and SIPp with scripted answers. Each carrier has a loopback address of its own.
package trunk

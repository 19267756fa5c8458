package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"tandem/configs"
	"tandem/sip/transport"
)

// services are the names under which clients look for a transport (RFC 3263 §4.1). WebSockets have none: pages name a host.
var services = map[transport.Proto]string{transport.UDP: "_sip._udp", transport.TCP: "_sip._tcp", transport.TLS: "_sips._tcp"}

// ttl of what is printed, seconds: short, for the day on which a shard is added.
const ttl = 300

func dnsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "dns", Short: "Print the DNS records by which phones find the cluster", Args: cobra.NoArgs,
		Long: "Print the DNS records by which phones find the cluster, in the form of a zone file (RFC 1035): SRV with the address of every\n" +
			"shard, at one priority, so that phones spread over them and try the next one where one does not answer (RFC 3263).",
	}
	config := folderFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config()
		if err != nil {
			return err
		}
		return printRecords(c.OutOrStdout(), cfg)
	}
	return c
}

// host is one name and the address behind it.
type host struct {
	name string
	at   netip.Addr
}

// clusterHosts are those that phones register at.
func clusterHosts(cfg *configs.Config, domain string) (hosts []host) {
	for _, s := range cfg.Cluster.Shards {
		hosts = append(hosts, host{s.Name + "." + domain + ".", s.Seen()})
	}
	for i, a := range cfg.Cluster.Addresses {
		hosts = append(hosts, host{"sip" + strconv.Itoa(i+1) + "." + domain + ".", a.Prefix.Addr()})
	}
	return hosts
}

func printRecords(w io.Writer, cfg *configs.Config) error {
	printed := false
	for _, domain := range cfg.Node.Domains {
		if _, err := netip.ParseAddr(domain); err == nil {
			continue
		}
		hosts := clusterHosts(cfg, domain)
		for _, l := range cfg.Transport.Listen {
			_, port, err := net.SplitHostPort(l.Address)
			if err != nil || services[l.Proto] == "" {
				continue
			}
			for _, h := range hosts {
				fmt.Fprintf(w, "%s.%s. %d IN SRV 10 100 %s %s\n", services[l.Proto], domain, ttl, port, h.name)
				printed = true
			}
		}
		if len(cfg.Cluster.Shards) > 0 && cfg.ACME != nil && slices.Contains(cfg.ACME.Domains, domain) {
			hosts = append(hosts, host{domain + ".", hosts[0].at}) // where the authority looks: the first shard answers it
		}
		for _, h := range hosts {
			kind := "A"
			if h.at.Is6() {
				kind = "AAAA"
			}
			fmt.Fprintf(w, "%s %d IN %s %s\n", h.name, ttl, kind, h.at)
		}
	}
	if !printed {
		return fmt.Errorf("there is nothing to publish: `domains` of the node block has no name, or the cluster no address")
	}
	return nil
}

# A small office in London: one machine in the local network, phones at desks.
#
#   tandem check --config configs/examples/office
#   tandem route --config configs/examples/office --from 1001 --to 600
#   tandem serve --config configs/examples/office

node "office" {
  domains        = ["office.example.com", "192.0.2.10"] # what the phones have as their domain
  public_address = "auto"                               # nobody outside: the address of the interface is right
  state_dir      = "/var/lib/tandem"                    # call records, and the socket of the command line
  http           = "127.0.0.1:9090"                     # /metrics, /healthz and /readyz, for this machine only
}

listen "phones" {
  transport = "udp"
  address   = "0.0.0.0:5060"
}
listen "phones-tcp" {
  transport = "tcp"
  address   = "0.0.0.0:5060"
}

# For phones that encrypt, get a certificate and take the marks away:
# listen "phones-tls" {
#   transport   = "tls"
#   address     = "0.0.0.0:5061"
#   certificate = "/etc/tandem/tls/fullchain.pem"       # read again when the file changes
#   key         = "/etc/tandem/tls/key.pem"
# }

media {
  ports         = "20000-39999"
  silence       = "60s"
  private_peers = true # the phones have private addresses, and so have we
  codecs        = ["PCMA", "PCMU", "G722", "telephone-event"]
}

registrar {
  min_expires     = "60s"
  default_expires = "10m"
  max_expires     = "1h"
  max_contacts    = 5 # a desk phone, a mobile and a browser, and some in reserve
}

log {
  level  = "info"
  format = "text"
}

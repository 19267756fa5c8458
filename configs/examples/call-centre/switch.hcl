# A call centre: callers come over two carriers, agents take them in the order of who has waited longest, and whoever
# cannot be helped hears why.
#
#   tandem test configs/examples/call-centre
#   tandem route --config configs/examples/call-centre --trunk alpha --caller +33140000000 --to +442079460100

node "centre" {
  domains        = ["centre.example.com"]
  public_address = "203.0.113.20"
}

listen "sip" {
  transport = "udp"
  address   = "0.0.0.0:5060"
}
listen "browsers" { # agents in a browser; a web server in front of it has the certificate
  transport = "ws"
  address   = "127.0.0.1:5066"
  origins   = ["https://desk.centre.example.com"]
}

trunk "alpha" {
  proxy = "192.0.2.10"
  accept { addresses = ["192.0.2.0/28"] }
  channels = 120
}
trunk "beta" {
  proxy = "192.0.2.20"
  accept { addresses = ["192.0.2.16/28"] }
  channels = 60
}

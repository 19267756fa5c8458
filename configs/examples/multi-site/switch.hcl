# One company in London and Paris, on one switch: everybody has a short number everywhere, and each house calls outside
# over its own carrier, or over the other's while its own is down.
#
#   tandem test configs/examples/multi-site

node "company" {
  domains        = ["company.example.com"]
  public_address = "203.0.113.50"
}
listen "phones" {
  transport = "udp"
  address   = "0.0.0.0:5060"
}
listen "phones-tcp" {
  transport = "tcp"
  address   = "0.0.0.0:5060"
}

trunk "london" {
  proxy = "192.0.2.60"
  accept { addresses = ["192.0.2.60"] }
  channels = 30
}
trunk "paris" {
  proxy = "192.0.2.70"
  accept { addresses = ["192.0.2.70"] }
  channels = 20
}

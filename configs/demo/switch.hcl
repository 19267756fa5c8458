# The switch that `make run` starts. It is an ordinary configuration but for two things: what stands as demo.… is made
# freshly at each start, and passwords may stand in it.

node "demo" {
  domains        = demo.domains # what phones register to: this machine's addresses
  public_address = "auto"       # the address of the interface that a phone is reached over
  state_dir      = demo.state_dir
  http           = demo.http # metrics and health
}

listen "udp" {
  transport = "udp"
  address   = demo.sip
}
listen "tcp" {
  transport = "tcp"
  address   = demo.sip
}
listen "tls" {
  transport   = "tls"
  address     = demo.tls
  certificate = "self-signed"
}
listen "ws" {
  transport = "ws"
  address   = demo.ws
  origins   = ["*"] # any web page: fine for a demo, not for an office
}
listen "wss" {
  transport   = "wss"
  address     = demo.wss
  certificate = "self-signed" # for every name and address of this machine
  origins     = ["*"]
}

media {
  ports          = "20000-29999"
  private_peers  = true # phones are on this machine or in its network
  loopback_peers = true
}

registrar {
  max_contacts = 10
}

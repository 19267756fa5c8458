# Click to call: visitors of a web page reach two desks from their browser, and nothing else. The page's web server
# gives each visitor one of the guest accounts for as long as he stays.
#
#   tandem test configs/examples/click-to-call

node "web" {
  domains        = ["call.example.com"]
  public_address = "203.0.113.40"
}
listen "browsers" { # a web server in front has the certificate: wss://call.example.com/sip
  transport = "ws"
  address   = "127.0.0.1:5066"
  origins   = ["https://www.example.com"]
}
listen "desks" {
  transport = "tcp"
  address   = "0.0.0.0:5060"
}

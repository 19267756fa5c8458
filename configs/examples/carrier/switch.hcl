# An interconnect: calls come from one customer's switch and leave over two carriers, the cheaper first by their price
# lists, or by shares as a contract says. What a carrier fails at, the other does.
#
#   tandem test configs/examples/carrier
#   tandem route --config configs/examples/carrier --trunk customer --caller +442079460018 --to +33140000000

node "interconnect" {
  domains        = ["tandem.example.net"]
  public_address = "203.0.113.30"
}
listen "sip" {
  transport = "udp"
  address   = "0.0.0.0:5060"
}
listen "sip-tcp" {
  transport = "tcp"
  address   = "0.0.0.0:5060"
}

trunk "customer" {
  proxy = "198.51.100.10"
  accept { addresses = ["198.51.100.8/29"] }
  channels      = 240
  cps           = 20
  any_caller_id = true # it vouches for the numbers of its own people
}
trunk "blue" {
  proxy             = "192.0.2.40"
  channels          = 480
  minutes_per_month = 500000 # that are paid for
  cps               = 50
  any_caller_id     = true
  accept { addresses = ["192.0.2.40"] }
  probe { interval = "30s" }
  health { # where fewer calls are answered, the others come first
    asr   = 35
    calls = 50
  }
}
trunk "green" {
  proxy         = "192.0.2.50"
  channels      = 480
  cps           = 50
  any_caller_id = true
  accept { addresses = ["192.0.2.50"] }
  probe { interval = "30s" }
}

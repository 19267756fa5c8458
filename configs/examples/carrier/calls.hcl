# What each carrier asks for a minute. The longest prefix in force on the day of the call
# is the price; whoever has none for a number is not tried.
rate_deck "blue" {
  file     = "blue.csv"
  trunk    = trunk.blue
  currency = "EUR"
}
rate_deck "green" {
  file     = "green.csv"
  trunk    = trunk.green
  currency = "USD"
  exchange = { USD = 0.92 }
}
trunk_group "cheapest" {
  member { trunk = trunk.blue }
  member { trunk = trunk.green }
  strategy = "cost"
  channels = 600 # over both, as our own line has no more
}
trunk_group "london" { # two thirds of the calls to London to blue, as the contract says
  member {
    trunk  = trunk.blue
    weight = 66
  }
  member {
    trunk  = trunk.green
    weight = 34
  }
}

route "abroad" {
  from = [trunk.customer]
  to   = "+[1-9]x{6,14}"
  dial {
    trunks  = [trunk_group.cheapest]
    timeout = "90s"
  }
  failover {
    on          = ["5xx", "408", "480", "timeout", "unreachable"]
    first_reply = "3s"
  }
}
route "london" {
  from = [trunk.customer]
  to   = "+4420..."
  dial { trunks = [trunk_group.london] }
}
routes "refused" {
  file = "refused.csv"
  from = [trunk.customer]
}
route "to-the-customer" {
  from = [trunk_group.cheapest]
  to   = "+4420794600xx"
  dial { trunks = [trunk.customer] }
}

block_list "wangiri" { # numbers that ring once and hope to be called back
  callers      = ["+2217...", "+3774..."]
  destinations = ["+2217...", "+3774..."]
}

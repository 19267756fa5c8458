# By prefix, from a table: the longest one that fits decides. A row is a pattern and the
# trunks in order, or a refusal; where it says neither, the block does.
routes "rates" {
  file = "rates.csv"
  from = [trunk.customer]
  dial {
    trunks  = [trunk.blue, trunk.green]
    timeout = "90s"
  }
  failover {
    on          = ["5xx", "408", "480", "timeout", "unreachable"]
    first_reply = "3s"
  }
}
route "elsewhere" { # a country that is not in the table
  from = [trunk.customer]
  to   = "+[1-9]x{6,14}"
  reject {
    status = 404
    cause  = 3
  }
}
route "to-the-customer" {
  from = [trunk.blue, trunk.green]
  to   = "+4420794600xx"
  dial { trunks = [trunk.customer] }
}

block_list "wangiri" { # numbers that ring once and hope to be called back
  callers      = ["+2217...", "+3774..."]
  destinations = ["+2217...", "+3774..."]
}

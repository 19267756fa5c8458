numbering {
  country  = "GB"
  timezone = "Europe/London"
}

class "agent" {
  max_calls = 1
  countries = ["GB", "IE"]
  caller_id = "+442079460100" # customers see the number that they can call back
}
class "lead" {
  max_calls = 3
  countries = ["GB", "IE", "FR", "DE"]
  caller_id = "+442079460100"
}

extensions { file = "agents.csv" }

schedule "support" {
  timezone = "Europe/London"
  open     = ["mon-fri 08:00-20:00", "sat 09:00-13:00"]
  closed   = ["12-25", "12-26", "01-01"]
}

ring_group "support" {
  strategy = "longest_idle"
  members  = [extension["2001"], extension["2002"], extension["2003"], extension["2004"], extension["2005"], extension["2006"]]
  timeout  = "60s"
  each     = "12s"
}
ring_group "orders" {
  strategy = "round_robin"
  members  = [extension["2007"], extension["2008"], extension["2009"], extension["2010"]]
  timeout  = "45s"
  each     = "15s"
}
ring_group "leads" {
  strategy = "all"
  members  = [extension["2101"], extension["2102"]]
  timeout  = "20s"
}

emergency { # comes before everything below, and asks the second carrier whatever the first says
  numbers   = ["999", "112"]
  trunks    = [trunk.alpha, trunk.beta]
  caller_id = "+442079460100"
}

block_list "nuisance" {
  callers = ["+4420794609...", "+883..."]
  status  = 607
}

route "support-open" {
  from = [trunk.alpha, trunk.beta]
  to   = "+442079460100"
  when = schedule.support.is_open
  ring { group = ring_group.support }
  on "busy" "no_answer" "unreachable" { # nobody is free: a lead helps out, and then an apology
    ring { group = ring_group.leads }
    on "busy" "no_answer" "unreachable" "declined" {
      play { file = "sounds/busy.wav" }
    }
  }
}
route "support-closed" {
  from = [trunk.alpha, trunk.beta]
  to   = "+442079460100"
  play {
    file   = "sounds/closed.wav"
    answer = false # nobody pays for hearing that we are closed
  }
}
route "orders" {
  from = [trunk.alpha, trunk.beta]
  to   = "+442079460101"
  ring { group = ring_group.orders }
  on "busy" "no_answer" "unreachable" {
    ring { group = ring_group.support }
  }
}

route "desk" {
  from = [class.agent, class.lead]
  to   = "2xxx"
  dial { extension = call.to }
}
route "leads" { # an agent who needs help
  from = [class.agent]
  to   = "*1"
  ring { group = ring_group.leads }
}
route "outside" {
  from = [class.agent, class.lead]
  to   = "+[1-9]x{6,14}"
  dial { trunks = [trunk.alpha, trunk.beta] }
  failover {
    on          = ["5xx", "408", "480", "timeout", "unreachable"]
    first_reply = "3s"
  }
}

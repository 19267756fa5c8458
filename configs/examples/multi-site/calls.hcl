numbering { # the whole company dials as in Britain; in Paris they dial 00 33, or the short numbers
  country  = "GB"
  timezone = "Europe/London"
}

class "london" {
  countries = ["GB", "FR", "IE"]
  caller_id = "+442079462000"
}
class "paris" {
  countries = ["GB", "FR", "BE"]
  caller_id = "+33140003000"
}
extensions { file = "phones.csv" }

schedule "london" {
  timezone = "Europe/London"
  open     = ["mon-fri 09:00-17:30"]
}
schedule "paris" {
  timezone = "Europe/Paris"
  open     = ["mon-fri 09:00-18:00"]
  closed   = ["05-01", "07-14"]
}

emergency {
  numbers   = ["112", "999"]
  trunks    = [trunk.london, trunk.paris]
  caller_id = "+442079462000"
}

ring_group "london" {
  members = [extension["2001"], extension["2002"], extension["2003"]]
  timeout = "30s"
}
ring_group "paris" {
  members = [extension["3001"], extension["3002"]]
  timeout = "30s"
}

route "short" { # 2xxx is London, 3xxx is Paris, from everywhere
  to = "[23]xxx"
  dial { extension = call.to }
  on "no_answer" "busy" "unreachable" {
    play { file = "sounds/closed.wav" }
  }
}

route "london-outside" {
  from      = [class.london]
  to        = "+..."
  caller_id = call.extension.did
  dial { trunks = [trunk.london, trunk.paris] }
}
route "paris-outside" {
  from      = [class.paris]
  to        = "+..."
  caller_id = call.extension.did
  dial { trunks = [trunk.paris, trunk.london] }
}

route "own-numbers" { # direct numbers, from outside and from colleagues who dial them in full
  from = [trunk.london, trunk.paris, class.london, class.paris]
  to   = "+442079462xxx"
  dial { extension = call.to }
}
route "own-numbers-paris" {
  from = [trunk.london, trunk.paris, class.london, class.paris]
  to   = "+33140003xxx"
  dial { extension = call.to }
}

route "london-open" { # the number on the letterhead
  from = [trunk.london, trunk.paris]
  to   = "+442079462000"
  when = schedule.london.is_open
  ring { group = ring_group.london }
}
route "london-by-paris" { # the last half hour is theirs
  from = [trunk.london, trunk.paris]
  to   = "+442079462000"
  when = schedule.paris.is_open
  ring { group = ring_group.paris }
}
route "london-closed" {
  from = [trunk.london, trunk.paris]
  to   = "+442079462000"
  play { file = "sounds/closed.wav" }
}

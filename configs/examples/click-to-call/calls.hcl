numbering { country = "FR" }

class "visitor" {
  max_calls = 1
  countries = [] # nothing outside, at any price
}
class "desk" {
  max_calls = 2
}

extension "101" {
  name     = "Sales"
  password = secret("sha256:ae75c127dda346c0b5e4f88d249591feebebd04967515b63a2e16b30feb99f1b")
  class    = class.desk
}
extension "102" {
  name     = "Support"
  password = secret("sha256:d29f79852c1c5e5049c7adf10e38b12717368c1b703c1e60ddbbe7a1ddb9fbfe")
  class    = class.desk
}
extensions { # the guests: the page gives them out
  file  = "guests.csv"
  class = class.visitor
}

schedule "desk" {
  timezone = "Europe/Paris"
  open     = ["mon-fri 09:00-18:00"]
  closed   = ["05-01", "07-14", "12-25"]
}

route "sales" {
  from        = [class.visitor]
  to          = "1"
  when        = schedule.desk.is_open
  caller_name = "Visitor of the web page"
  dial {
    extension = extension["101"]
    timeout   = "30s"
  }
  on "busy" "no_answer" "unreachable" {
    dial { extension = extension["102"] }
  }
}
route "support" {
  from        = [class.visitor]
  to          = "2"
  when        = schedule.desk.is_open
  caller_name = "Visitor of the web page"
  dial { extension = extension["102"] }
}
route "later" { # the page shows its form when it gets this
  from = [class.visitor]
  to   = "[12]"
  reject {
    status = 480
    reason = "Desks open at nine in Paris"
  }
}
route "try-the-microphone" {
  from = [class.visitor]
  to   = "9"
  echo {}
}
route "between-desks" {
  from = [class.desk]
  to   = "10x"
  dial { extension = call.to }
}

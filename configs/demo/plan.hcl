# Two phones and three numbers that always answer.

class "demo" {
  max_calls = 4
}

extension "1001" {
  name     = "Alice"
  password = demo.passwords["1001"]
  class    = class.demo
}
extension "1002" {
  name     = "Bob"
  password = demo.passwords["1002"]
  class    = class.demo
}

route "internal" {
  from = [class.demo]
  to   = "100x"
  dial {
    extension = call.to
    timeout   = "30s"
  }
}
route "echo" {
  to = "9196"
  echo {}
}
route "tone" {
  to = "9197"
  tone { hz = 1004 }
}
route "notice" {
  to = "9198"
  play { file = "notice.wav" }
}

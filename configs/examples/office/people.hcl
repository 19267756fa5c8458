# Who may call whom, and who is who. Passwords stand elsewhere: in the environment of the service, in files of their
# own, or as the hash that digest authentication uses:
#
#   printf '1001:office.example.com:PASSWORD' | sha256sum

class "staff" {
  max_calls = 3
  countries = ["GB"]
}
class "lobby" { # a phone that strangers can reach
  max_calls = 1
}

extension "1001" {
  name     = "Alice"
  password = secret("sha256:8d5b2a1e20f0a4f0d8f7c1a3b2e4d6f8091a2b3c4d5e6f708192a3b4c5d6e7f8")
  class    = class.staff
  did      = "+442079460018"
}
extension "1002" {
  name     = "Bob"
  password = secret("sha256:1f2e3d4c5b6a79880796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0")
  class    = class.staff
  did      = "+442079460019"
}
extension "1900" {
  name     = "Lobby"
  password = secret("sha256:a0b1c2d3e4f5061728394a5b6c7d8e9f00112233445566778899aabbccddeeff")
  class    = class.lobby
}

# The others, one line each.
extensions {
  file  = "phones.csv"
  class = class.staff
}

ring_group "sales" {
  strategy = "longest_idle"
  members  = [extension["1001"], extension["1002"], extension["1003"]]
  timeout  = "45s"
  each     = "12s"
}
ring_group "everybody" {
  strategy = "all"
  members  = [extension["1001"], extension["1002"], extension["1003"], extension["1004"]]
  timeout  = "30s"
}

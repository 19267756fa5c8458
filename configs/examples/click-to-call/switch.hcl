# Click to call: visitors of a web page reach two desks from their browser, and nothing else. The page's web server asks
# for a guest account with a password that expires, for each visitor (POST /v1/token with the key of the block token, or
# `tandem token 9001`), and writes it into the page.
#
#   <script src="https://call.example.com:7443/tandem.js"></script>
#   <button id="call">Call sales</button>
#   <script>
#     const phone = Tandem.phone({ username: "USERNAME", password: "PASSWORD" });
#     document.getElementById("call").onclick = () => phone.call("1");
#   </script>
#
# The desks use https://call.example.com:7443/phone, or telephones.
#
#   tandem test configs/examples/click-to-call

node "web" {
  domains        = ["call.example.com"]
  public_address = "203.0.113.40"
}
listen "browsers" {
  transport   = "wss"
  address     = "0.0.0.0:7443"
  certificate = "acme"
  origins     = ["https://www.example.com"]
}
acme {
  email = "ops@example.com"
}
turn { # for visitors whose network lets nothing else through
  address = "0.0.0.0:3478"
}
listen "desks" {
  transport = "tcp"
  address   = "0.0.0.0:5060"
}

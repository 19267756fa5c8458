package digest

import "testing"

// The examples of RFC 7616 §3.9.1, RFC 2617 §3.5 and RFC 2069 §2.4 (as corrected by its erratum).
func TestResponseVectors(t *testing.T) {
	for _, c := range []struct {
		name                  string
		user, realm, password string
		e                     exchange
		want                  string
	}{
		{"RFC 7616 MD5", "Mufasa", "http-auth@example.org", "Circle of Life", exchange{
			MD5, "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
			"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "auth", "GET", "/dir/index.html", "",
		}, "8ca523f5e9506fed4657c9700eebdbec"},
		{"RFC 7616 SHA-256", "Mufasa", "http-auth@example.org", "Circle of Life", exchange{
			SHA256, "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
			"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "auth", "GET", "/dir/index.html", "",
		}, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{"RFC 2617", "Mufasa", "testrealm@host.com", "Circle Of Life", exchange{
			MD5, "dcd98b7102dd2f0e8b11d0f600bfb0c093", "00000001", "0a4f113b", "auth", "GET", "/dir/index.html", "",
		}, "6629fae49393a05397450978507c4ef1"},
		{"RFC 2069, no qop", "Mufasa", "testrealm@host.com", "CircleOfLife", exchange{
			MD5, "dcd98b7102dd2f0e8b11d0f600bfb0c093", "", "", "", "GET", "/dir/index.html", "",
		}, "1949323746fe6a43ef61f9606e7febea"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ha1 := NewCredential(c.user, c.realm, c.password).HA1(c.e.algorithm)
			if got := string(c.e.appendResponse(nil, ha1)); got != c.want {
				t.Fatalf("response %s, want %s", got, c.want)
			}
		})
	}
}

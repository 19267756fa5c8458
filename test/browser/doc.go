// Package browser calls the built switch from headless Chromium: its own page at /phone, pages of JsSIP and SIP.js as
// they are published, and from there to phones and carriers. One browser serves all tests, a tab each; its microphone is
// a tone, and what arrives is measured at its frequency. Tests that change the network have a browser and a switch of their
// own in network namespaces.
package browser

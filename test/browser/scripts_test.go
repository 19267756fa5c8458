package browser

import "fmt"

// helpers find buttons by their names, and tones in what a tab hears.
const helpers = `
window.tests = {
  button(name) {
    return [...document.querySelectorAll('button')].find((b) => !b.disabled && b.offsetParent !== null &&
      (b.getAttribute('aria-label') ?? b.textContent).trim() === name);
  },
  type(selector, text) {
    const e = document.querySelector(selector);
    e.focus();
    e.value = text;
    e.dispatchEvent(new Event('input', { bubbles: true }));
    return true;
  },
  // How far a tone stands over everything else in a stream, in dB: the power within 25 Hz of it over the rest.
  // Silence gives -100.
  async tone(stream, hz) {
    if (!stream || stream.getAudioTracks().length === 0) return -100;
    this.context ??= new AudioContext();
    await this.context.resume();
    const track = stream.getAudioTracks()[0];
    this.analysers ??= new Map();
    if (!this.analysers.has(track)) {
      const a = this.context.createAnalyser();
      a.fftSize = 8192;
      a.smoothingTimeConstant = 0;
      this.context.createMediaStreamSource(new MediaStream([track])).connect(a);
      this.analysers.set(track, a);
    }
    const a = this.analysers.get(track);
    const bins = new Float32Array(a.frequencyBinCount);
    a.getFloatFrequencyData(bins);
    let within = 0, beside = 1e-11;
    for (let i = 1; i < bins.length; i++) {
      const power = 10 ** (bins[i] / 10);
      if (Math.abs(i * this.context.sampleRate / a.fftSize - hz) <= 25) within += power;
      else beside += power;
    }
    return within < 1e-9 ? -100 : 10 * Math.log10(within / beside);
  },
};
`

// rawMicrophone takes the processing off the microphone: it is made for voices, and calls a steady tone noise.
const rawMicrophone = `
{
  const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (c) => get({ ...c, audio: c.audio && { ...(c.audio === true ? {} : c.audio),
    echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
}
`

// microphone gives a tab another tone than the WAV of the browser.
func microphone(hz float64) string {
	return fmt.Sprintf(`
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext({ sampleRate: 48000 });
  const tone = context.createOscillator(), gain = context.createGain(), out = context.createMediaStreamDestination();
  tone.frequency.value = %v;
  gain.gain.value = 0.3;
  tone.connect(gain).connect(out);
  tone.start();
  return out.stream;
};
`, hz)
}

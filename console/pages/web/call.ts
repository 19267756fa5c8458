import { openCamera, openMicrophone, stop, type Choice } from "./devices";
import { Emitter } from "./emitter";
import { failure, microphone, Problem } from "./problem";
import { QualityMeter, type Quality } from "./quality";

export type CallState = "calling" | "ringing" | "incoming" | "up" | "ended";

interface Events {
  /** change: anything that a page would show is different now. */
  change: Call;
  /** ended, with the reason where there is one to tell. */
  ended: Problem | undefined;
  /** digit that the other side sent by INFO. */
  digit: string;
}

/** How a transfer goes: asked for, over there it rings, done, or refused with a Problem. */
export type TransferState = "asked" | "ringing" | "done" | Problem;

/** Wiring is what a call needs of its phone. */
export interface Wiring {
  choice: Choice;
  connection: RTCConfiguration;
  codecs: string[];
  /** reach asks the switch for a sign of life; where none comes the phone connects anew, and then restarts the calls that are lost. */
  reach(): Promise<boolean>;
}

/** Bookmark is what a page must know of a call to take it up again after a reload. */
export interface Bookmark {
  extension: string;
  /** replaces names the dialog, as a Replaces header does (RFC 3891). */
  replaces: string;
  number: string;
  name: string;
  incoming: boolean;
  muted: boolean;
  held: boolean;
  /** since and left are milliseconds of the clock. */
  since: number;
  left: number;
}

/** gatherFor is how long an offer waits for further candidates after the first one, in milliseconds. The switch needs none. */
const gatherFor = 100;

/** Call is one call of this phone, over a JsSIP session. */
export class Call extends Emitter<Events> {
  state: CallState;
  readonly incoming: boolean;
  /** number and name of the other side. */
  number: string;
  name: string;
  held = false;
  heldByPeer = false;
  muted = false;
  /** lost: sound does not arrive at the moment; the call tries to find another way. */
  lost = false;
  /** wanting: another way for sound is to be looked for as soon as the switch can be reached. */
  wanting = false;
  /** returning: the page was reloaded and takes the call up again. */
  returning = false;
  since?: Date;
  transfer?: TransferState;
  problem?: Problem;
  local?: MediaStream;
  readonly remote = new MediaStream();
  /** picture of our own camera; undefined: it is off. */
  picture?: MediaStream;
  /** film is the picture of the other side's; undefined: there is none at the moment. */
  film?: MediaStream;
  private session: any;
  private player = new Audio();
  private meter?: QualityMeter;
  private restarting = 0;
  private holding = 0;
  private wantHeld = false;

  constructor(incoming: boolean, number: string, name: string, private readonly wiring: Wiring) {
    super();
    this.incoming = incoming;
    this.number = number;
    this.name = name;
    this.state = incoming ? "incoming" : "calling";
    this.player.autoplay = true;
  }

  /** dial opens the microphone and calls; ua is JsSIP's. */
  async dial(ua: any, target: string): Promise<void> {
    try {
      this.local = await openMicrophone(this.wiring.choice.microphone);
    } catch (error) {
      return this.end(microphone(error));
    }
    if (this.state === "ended") return stop(this.local);
    const session = ua.call(target, this.options({ extraHeaders: [] }));
    this.follow(session);
  }

  /** bookmark is how to find this call again; undefined: there is nothing to come back to. */
  bookmark(extension: string): Bookmark | undefined {
    const id = this.session?._dialog?.id;
    if (this.state !== "up" || !id) return undefined;
    return {
      extension,
      replaces: `${id.call_id};to-tag=${id.remote_tag};from-tag=${id.local_tag}`,
      number: this.number,
      name: this.name,
      incoming: this.incoming,
      muted: this.muted,
      held: this.held,
      since: this.since?.getTime() ?? Date.now(),
      left: Date.now(),
    };
  }

  /** comeBack takes a call up again: this one takes the place of the one before the reload, and the other side notices little. */
  async comeBack(ua: any, b: Bookmark): Promise<void> {
    this.returning = true;
    this.since = new Date(b.since);
    try {
      this.local = await openMicrophone(this.wiring.choice.microphone);
    } catch (error) {
      return this.end(microphone(error));
    }
    if (this.state === "ended") return stop(this.local);
    const quiet = b.muted || b.held;
    for (const track of this.local.getAudioTracks()) track.enabled = !quiet;
    this.follow(ua.call(b.number, this.options({ extraHeaders: [`Replaces: ${b.replaces}`] })));
    if (quiet) this.session.mute({ audio: true });
    this.set({ muted: b.muted });
    const done = this.on("change", () => {
      if (this.state === "up" && b.held && !this.held) this.hold(true);
      if (this.state === "calling" || (b.held && this.state === "up" && !this.held)) return;
      done();
      if (b.held && !b.muted && this.state === "up") this.session.unmute({ audio: true }); // the hold keeps it quiet
    });
  }

  /** follow listens to a session; for an outgoing call JsSIP has sent nothing yet. */
  follow(session: any): void {
    this.session = session;
    if (session.connection) this.watch(session.connection);
    session.on("peerconnection", (e: any) => this.watch(e.peerconnection));
    session.on("icecandidate", (e: any) => window.setTimeout(e.ready, gatherFor));
    session.on("sdp", (e: any) => {
      if (e.originator === "local") e.sdp = onlyCodecs(e.sdp, this.wiring.codecs);
    });
    session.on("progress", (e: any) => {
      if (e.originator === "remote" && this.state === "calling") this.become("ringing");
    });
    session.on("accepted", () => {
      this.since ??= new Date();
      this.returning = false;
      this.become("up");
    });
    session.on("hold", (e: any) => this.set(e.originator === "local" ? { held: true } : { heldByPeer: true }));
    session.on("unhold", (e: any) => this.set(e.originator === "local" ? { held: false } : { heldByPeer: false }));
    session.on("newDTMF", (e: any) => e.originator === "remote" && this.emit("digit", e.dtmf.tone));
    session.on("ended", (e: any) => this.end(failure(e.message?.status_code ?? 0, e.cause)));
    session.on("failed", (e: any) => {
      if (this.returning) return this.end(new Problem("gone", "The call ended while the page was reloaded.", "Call again."));
      const declined = this.incoming || e.originator === "local";
      this.end(declined && e.cause !== "RTP Timeout" ? e.cause === "WebRTC Error" ? failure(0, e.cause) : undefined : failure(e.message?.status_code ?? 0, e.cause));
    });
  }

  async answer(): Promise<void> {
    if (this.state !== "incoming") return;
    try {
      this.local = await openMicrophone(this.wiring.choice.microphone);
    } catch (error) {
      this.problem = microphone(error);
      this.emit("change", this); // it rings on: the person may allow it yet
      return;
    }
    if ((this.state as CallState) === "ended") return stop(this.local);
    this.problem = undefined;
    this.session.answer(this.options({}));
  }

  hangUp(): void {
    if (this.state === "ended") return;
    if (!this.session || this.session.isEnded()) return this.end(undefined);
    this.session.terminate(this.state === "incoming" ? { status_code: 486 } : undefined);
  }

  /** decline an incoming call for good, so that nobody else is tried: 603. */
  decline(): void {
    if (this.state === "incoming") this.session.terminate({ status_code: 603, reason_phrase: "Decline" });
  }

  /** hold puts the other side on hold, or takes it back: at once, or as soon as the change before is through. */
  hold(on: boolean): void {
    this.wantHeld = on;
    window.clearTimeout(this.holding);
    if (this.state !== "up" || on === this.held) return;
    void this.wiring.reach().then((there) => {
      window.clearTimeout(this.holding);
      if (this.state !== "up" || this.wantHeld === this.held) return;
      if (there && (this.wantHeld ? this.session.hold() : this.session.unhold())) return;
      this.holding = window.setTimeout(() => this.hold(this.wantHeld), 200);
    });
  }

  mute(on: boolean): void {
    if (this.state === "ended" || !this.session) return;
    if (on) this.session.mute({ audio: true });
    else this.session.unmute({ audio: true });
    this.set({ muted: on });
  }

  /** press sends keys: 0-9, *, #, A-D. They leave as RFC 4733 events in the stream of sound, or as INFO where the other side takes no events. */
  press(keys: string): void {
    if (this.state !== "up") return;
    const sender = this.session.connection?.getSenders().find((s: RTCRtpSender) => s.track?.kind === "audio");
    const events = sender?.dtmf?.canInsertDTMF === true;
    this.session.sendDTMF(keys, { duration: 120, interToneGap: 80, transportType: events ? "RFC2833" : "INFO" });
  }

  /** transferTo hands the other side over to a number; it rings there, and this call ends when it is taken. */
  transferTo(target: string): void {
    this.refer(target, undefined);
  }

  /**
   * joinWith connects the other sides of two calls to each other, and leaves them alone. One that is not answered yet is cancelled, and rings on for
   * the other side of this one (RFC 5589 §7).
   */
  joinWith(other: Call): void {
    if (other.state !== "up") {
      other.hangUp();
      return this.transferTo(other.number);
    }
    this.refer(other.session.remote_identity.uri, other.session);
  }

  private refer(target: unknown, replaces: any): void {
    if (this.state !== "up") return;
    const failed = (e: any) => this.set({ transfer: failure(e.message?.status_line?.status_code ?? e.response?.status_code ?? 0, e.cause ?? "") ?? new Problem("transfer", "The transfer failed.", "You are still connected.") });
    this.set({ transfer: "asked" });
    this.session.refer(target, {
      replaces,
      eventHandlers: {
        requestFailed: failed,
        failed,
        progress: () => this.set({ transfer: "ringing" }),
        accepted: () => {
          this.set({ transfer: "done" });
          this.hangUp();
        },
      },
    });
  }

  /** useMicrophone exchanges the microphone in mid-call. */
  async useMicrophone(id: string): Promise<void> {
    const sender = this.session?.connection?.getSenders().find((s: RTCRtpSender) => s.track?.kind === "audio");
    if (!sender) return;
    const fresh = await openMicrophone(id);
    const track = fresh.getAudioTracks()[0];
    track.enabled = !this.muted && !this.held;
    await sender.replaceTrack(track);
    stop(this.local);
    this.local = fresh;
    this.emit("change", this);
  }

  /**
   * camera turns one's own picture on or off: an offer more in the same call. It throws a Problem where there is no camera, or where the other side
   * takes no picture, as a desk phone.
   */
  async camera(on: boolean): Promise<void> {
    if (this.state !== "up" || on === (this.picture !== undefined)) return;
    const fresh = on ? await openCamera() : undefined;
    const old = this.picture;
    if (this.connection?.signalingState !== "stable" || !(await this.wiring.reach())) {
      stop(fresh);
      throw new Problem("camera", "The camera cannot be changed at this moment.", "Press Camera again.");
    }
    const way = await this.carry(fresh?.getVideoTracks()[0]);
    this.set({ picture: fresh });
    stop(old);
    const answered = new Promise<void>((done) => {
      if (!this.session.renegotiate({}, done)) done();
    });
    await answered;
    if (on && way.currentDirection !== "sendrecv" && way.currentDirection !== "sendonly") {
      stop(fresh);
      this.set({ picture: undefined });
      throw new Problem("camera", "The other side takes no picture.", "The call goes on with sound alone.");
    }
  }

  /** carry puts a track, or none, where pictures go out. */
  private async carry(track: MediaStreamTrack | undefined): Promise<RTCRtpTransceiver> {
    const way = this.connection!.getTransceivers().find((t) => t.receiver.track.kind === "video" && t.currentDirection !== "stopped");
    if (!way) return this.connection!.addTransceiver(track ?? "video", { direction: track ? "sendrecv" : "recvonly", streams: this.local ? [this.local] : [] });
    await way.sender.replaceTrack(track ?? null);
    way.direction = track ? "sendrecv" : "recvonly";
    return way;
  }

  /** useSpeaker plays this call on another device. */
  async useSpeaker(id: string): Promise<void> {
    await (this.player as any).setSinkId?.(id);
  }

  async quality(): Promise<Quality | undefined> {
    return this.meter?.measure();
  }

  /** connection is the browser's own, for who wants to look closer. */
  get connection(): RTCPeerConnection | undefined {
    return this.session?.connection;
  }

  /**
   * restart looks for another way for sound (ICE restart), now or as soon as the switch can be reached. It asks before it offers: an
   * offer into a WebSocket that is dead would end the call.
   */
  restart(): void {
    window.clearTimeout(this.restarting);
    this.wanting = this.state === "up";
    if (!this.wanting) return;
    void this.wiring.reach().then((there) => {
      window.clearTimeout(this.restarting);
      if (this.state !== "up" || !this.wanting) return;
      this.wanting = !there || !this.session.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
      if (this.wanting) this.restarting = window.setTimeout(() => this.restart(), 1000);
    });
  }

  private options(more: object): object {
    return {
      mediaStream: this.local,
      mediaConstraints: { audio: true, video: false },
      pcConfig: this.wiring.connection,
      sessionTimersExpires: 1800,
      ...more,
    };
  }

  private watch(connection: RTCPeerConnection): void {
    this.meter = new QualityMeter(connection);
    connection.addEventListener("track", (e) => {
      if (e.track.kind === "video") return this.sees(e.track);
      for (const old of this.remote.getTracks()) this.remote.removeTrack(old);
      this.remote.addTrack(e.track);
      this.player.srcObject = this.remote;
      if (this.wiring.choice.speaker) void this.useSpeaker(this.wiring.choice.speaker).catch(() => undefined);
      void this.player.play().catch(() => undefined);
      this.emit("change", this);
    });
    connection.addEventListener("iceconnectionstatechange", () => {
      const state = connection.iceConnectionState;
      if (state === "disconnected" || state === "failed") {
        this.set({ lost: true });
        this.restart();
      } else if (state === "connected" || state === "completed") this.set({ lost: false });
    });
  }

  /** sees shows the other side's picture as long as there is one. */
  private sees(track: MediaStreamTrack): void {
    const film = new MediaStream([track]);
    const show = () => this.set({ film: track.muted || track.readyState === "ended" ? undefined : film });
    for (const event of ["mute", "unmute", "ended"]) track.addEventListener(event, show);
    show();
  }

  private set(fields: Partial<Call>): void {
    Object.assign(this, fields);
    this.emit("change", this);
  }

  private become(state: CallState): void {
    if (this.state !== "ended") this.set({ state });
  }

  private end(problem: Problem | undefined): void {
    if (this.state === "ended") return;
    window.clearTimeout(this.restarting);
    window.clearTimeout(this.holding);
    stop(this.local);
    stop(this.picture);
    this.picture = this.film = undefined;
    this.player.pause();
    this.player.srcObject = null;
    this.problem = problem;
    this.become("ended");
    this.emit("ended", problem);
  }
}

/** onlyCodecs leaves of an offer's or answer's audio those codecs alone, in their order, and the telephone events; an empty list: all. */
export function onlyCodecs(sdp: string, codecs: string[]): string {
  if (codecs.length === 0) return sdp;
  const lines = sdp.split("\r\n");
  const at = lines.findIndex((l) => l.startsWith("m=audio "));
  if (at < 0) return sdp;
  const types = new Map<string, string>();
  for (const l of lines) {
    const m = /^a=rtpmap:(\d+) ([^/]+)\//.exec(l);
    if (m) types.set(m[1], m[2].toLowerCase());
  }
  const [head, formats] = [lines[at].split(" ").slice(0, 3), lines[at].split(" ").slice(3)];
  const wanted = codecs.map((c) => c.toLowerCase());
  const audio = wanted.flatMap((c) => formats.filter((f) => types.get(f) === c));
  const keep = [...audio, ...formats.filter((f) => types.get(f) === "telephone-event")];
  if (audio.length === 0) return sdp;
  lines[at] = [...head, ...keep].join(" ");
  return lines.filter((l) => {
    const m = /^a=(?:rtpmap|fmtp|rtcp-fb):(\d+)[ $]/.exec(l);
    return !m || !formats.includes(m[1]) || keep.includes(m[1]);
  }).join("\r\n");
}

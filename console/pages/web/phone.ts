import JsSIP from "jssip";
import { Call, type Bookmark, type Wiring } from "./call";
import type { Choice } from "./devices";
import { Emitter } from "./emitter";
import { Life } from "./life";
import { Problem, registration } from "./problem";

/** Account is who this phone is, and where. */
export interface Account {
  /** server is the switch's WebSocket: wss://HOST:PORT/sip. */
  server: string;
  /** domain that the extension belongs to. */
  domain: string;
  extension: string;
  /** username to prove oneself with; where it is left out, the extension. A short-lived one is EXPIRY:EXTENSION. */
  username?: string;
  password: string;
  /** name that others are shown. */
  name?: string;
}

export interface Options {
  choice?: Partial<Choice>;
  /** codecs that may be used, in order, such as ["PCMU"]; empty: all that the browser knows. */
  codecs?: string[];
  /** iceServers beside those that the switch names. */
  iceServers?: RTCIceServer[];
  /** rtc is handed to the browser's PeerConnection, such as { iceTransportPolicy: "relay" }. */
  rtc?: RTCConfiguration;
  /** instance names this phone among others of the extension (RFC 5626), so that it finds its place again after a reload. */
  instance?: string;
  userAgent?: string;
}

export type PhoneState = "offline" | "connecting" | "registered" | "refused";

interface Events {
  state: PhoneState;
  call: Call;
  /** change: one of the calls is different, or one has come or gone. */
  change: undefined;
}

/** retryAfter is how long the phone waits after a refusal that may pass, in milliseconds. */
const retryAfter = 5000;

/** pulse is how often an idle phone looks whether the switch is there, in milliseconds: one that does not know cannot be called. */
const pulse = 30_000;

/** Phone is a registered user agent with its calls. */
export class Phone extends Emitter<Events> {
  state: PhoneState = "offline";
  problem?: Problem;
  calls: Call[] = [];
  readonly choice: Choice;
  private ua: any;
  private iceServers: RTCIceServer[] = [];
  private again = 0;
  private pulse = 0;
  private readonly life: Life;
  private readonly changed = () => this.look();
  private readonly online = () => {
    this.look();
    for (const call of this.calls) call.restart();
  };
  private stopped = false;

  constructor(readonly account: Account, private readonly options: Options = {}) {
    super();
    this.choice = { microphone: "", speaker: "", ...options.choice };
    const socket = new JsSIP.WebSocketInterface(account.server);
    this.life = new Life(socket, () => this.stopped || this.ua.transport.connect());
    listen(socket, (text) => {
      this.life.sign();
      this.learn(text);
    });
    const { extension, domain } = account;
    this.ua = new JsSIP.UA({
      sockets: [socket],
      uri: `sip:${encodeURIComponent(extension)}@${domain.includes(":") ? `[${domain}]` : domain}`,
      authorization_user: account.username || extension,
      password: account.password,
      display_name: account.name || undefined,
      instance_id: options.instance || undefined,
      user_agent: options.userAgent || "Tandem page",
      register_expires: 300,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 15,
    });
    this.ua.on("connecting", () => this.become("connecting"));
    this.ua.on("disconnected", () => this.become("connecting", registration(0, "")));
    this.ua.on("registered", () => {
      this.become("registered");
      for (const call of this.calls) if (call.lost || call.wanting) call.restart();
    });
    this.ua.on("registrationFailed", (e: any) => this.refused(e.response?.status_code ?? 0, e.response?.reason_phrase ?? ""));
    this.ua.on("newRTCSession", (e: any) => e.originator === "remote" && this.rings(e.session));
  }

  /** start connects and registers; it goes on trying until stop. */
  start(): void {
    this.rest();
    this.stopped = false;
    this.ua.start();
    window.addEventListener("online", this.online);
    network()?.addEventListener("change", this.changed);
    this.pulse = window.setInterval(() => void this.life.ask(), pulse);
  }

  /** stop hangs up, takes the registration back and disconnects. */
  stop(): void {
    window.clearTimeout(this.again);
    for (const call of [...this.calls]) call.hangUp();
    this.rest();
    this.ua.stop();
    this.become("offline");
  }

  /** leave is for a page that is reloaded: calls that are up stay so for the few seconds that the switch waits, and comeBack takes them up again. */
  leave(): Bookmark[] {
    const stay = this.calls.map((call) => call.bookmark(this.account.extension)).filter((b) => b !== undefined);
    if (stay.length === 0) {
      this.stop();
      return stay;
    }
    for (const call of [...this.calls]) if (call.state !== "up") call.hangUp();
    this.rest();
    return stay;
  }

  /** comeBack takes a call up again that was left. */
  comeBack(b: Bookmark): Call {
    const call = new Call(b.incoming, b.number, b.name, this.wiring());
    call.state = "calling";
    this.add(call);
    void call.comeBack(this.ua, b);
    return call;
  }

  /** look finds out, after a change of the network, whether the connection is still good, and else makes another at once. */
  private look(): void {
    if (this.ua.isConnected()) void this.life.ask();
    else this.ua.transport.connect();
  }

  /** rest ends what start has begun beside the user agent. */
  private rest(): void {
    this.stopped = true;
    window.clearInterval(this.pulse);
    window.removeEventListener("online", this.online);
    network()?.removeEventListener("change", this.changed);
  }

  /** call dials a number, or a SIP address. Other calls are put on hold first. */
  call(target: string): Call {
    const number = target.replace(/^sips?:/, "").replace(/[\s()./-]/g, (c) => (target.includes("@") ? c : ""));
    const call = new Call(false, number, "", this.wiring());
    this.add(call);
    this.holdOthers(call);
    void call.dial(this.ua, number.includes("@") ? `sip:${number}` : number);
    return call;
  }

  /** answer takes an incoming call, and puts the others on hold. */
  answer(call: Call): Promise<void> {
    this.holdOthers(call);
    return call.answer();
  }

  /** holdOthers puts all calls on hold but one. */
  holdOthers(but: Call): void {
    for (const call of this.calls) if (call !== but) call.hold(true);
  }

  private wiring(): Wiring {
    return {
      choice: this.choice,
      connection: { iceServers: [...this.iceServers, ...(this.options.iceServers ?? [])], bundlePolicy: "max-bundle", ...this.options.rtc },
      codecs: this.options.codecs ?? [],
      reach: () => this.life.ask(),
    };
  }

  private rings(session: any): void {
    const who = session.remote_identity;
    const call = new Call(true, decode(who.uri.user ?? String(who.uri)), who.display_name ?? "", this.wiring());
    call.follow(session);
    this.add(call);
    this.emit("call", call);
  }

  private add(call: Call): void {
    this.calls = [...this.calls, call];
    call.on("change", () => this.emit("change", undefined));
    call.on("ended", () => {
      this.calls = this.calls.filter((c) => c !== call);
      this.emit("change", undefined);
    });
    this.emit("change", undefined);
  }

  /** learn takes the relays that the switch names in its answers to REGISTER. */
  private learn(text: string): void {
    const line = /^Tandem-ICE: *(.+)$/im.exec(text.split("\r\n\r\n", 1)[0]);
    if (line) this.iceServers = parseServers(line[1]);
  }

  private refused(status: number, reason: string): void {
    const problem = registration(status, reason);
    if (status === 0) return this.become("connecting", problem);
    this.become("refused", problem);
    if (problem.code === "password" || problem.code === "domain") {
      this.rest();
      return void this.ua.stop();
    }
    window.clearTimeout(this.again);
    this.again = window.setTimeout(() => this.ua.isConnected() && this.ua.register(), retryAfter);
  }

  private become(state: PhoneState, problem?: Problem): void {
    if (this.stopped && state === "connecting") return; // the last words of a connection that we closed
    this.state = state;
    this.problem = problem;
    this.emit("state", state);
  }
}

/** network tells of changes of the machine's network, in browsers that know of them. */
function network(): EventTarget | undefined {
  return (navigator as any).connection;
}

/** listen lets look see each message that a socket brings, before JsSIP does. */
function listen(socket: any, look: (text: string) => void): void {
  const connect = socket.connect.bind(socket);
  socket.connect = () => {
    const inner = socket.ondata;
    socket.ondata = (data: unknown) => {
      if (typeof data === "string") look(data);
      inner(data);
    };
    connect();
  };
}

/** parseServers reads <turn:HOST:PORT?transport=udp>;username="…";credential="…", … */
export function parseServers(text: string): RTCIceServer[] {
  return [...text.matchAll(/<([^>]+)>(?:;username="([^"]*)")?(?:;credential="([^"]*)")?/g)].map(([, urls, username, credential]) =>
    username === undefined ? { urls } : { urls, username, credential },
  );
}

function decode(user: string): string {
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}

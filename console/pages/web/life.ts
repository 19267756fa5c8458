/** patience is how long the switch may take for a sign of life, in milliseconds. */
const patience = 2000;

/**
 * Life tells whether the switch is still at the other end of a JsSIP socket. A machine that has lost its address keeps its WebSocket
 * open, and nothing that is sent into it comes back.
 */
export class Life {
  private heard = () => {};
  private asking?: Promise<boolean>;

  /** again connects a socket that has been cut. */
  constructor(private readonly socket: any, private readonly again: () => void) {}

  /** sign is to be told of everything that arrives. */
  sign(): void {
    this.heard();
  }

  /** ask sends a keepalive (RFC 5626 §4.4.1), which the switch answers; false where nothing comes back, and then the socket has been cut. */
  ask(): Promise<boolean> {
    if (!this.socket.isConnected()) return Promise.resolve(false);
    this.asking ??= new Promise<boolean>((resolve) => {
      const asked = this.socket._ws; // by the time that patience ends it may be another one
      const end = (alive: boolean) => {
        window.clearTimeout(timer);
        this.heard = () => {};
        this.asking = undefined;
        if (!alive && this.socket._ws === asked) this.cut();
        resolve(alive);
      };
      const timer = window.setTimeout(() => end(false), patience);
      this.heard = () => end(true);
      this.socket.send("\r\n\r\n");
    });
    return this.asking;
  }

  /** cut has JsSIP connect anew: a WebSocket's own end would wait for the other side's. */
  private cut(): void {
    const { ondisconnect } = this.socket;
    this.socket.disconnect();
    ondisconnect(true, 1006, "no sign of life");
    this.again();
  }
}

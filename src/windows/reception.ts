import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { type ControlChannel, SocketChannel } from './channel.ts';
import { type Credentials, createToken, greetFollower, meetingHost } from './handshake.ts';

/** Whoever has not proved anything after this long is cut off, in milliseconds. */
const handshakeMs = 3_000;

/** Connections that have not proved anything yet; with one more, the oldest is closed. */
const maxWaiting = 64;

/** Where an owner takes in its followers. It hands over those that have proved who they are, and answers nobody else. */
export class Reception {
  readonly #server = createServer({ noDelay: true, keepAlive: true }, (socket) => void this.#admit(socket));
  readonly #token = createToken();
  readonly #protocol: number;
  readonly #waiting = new Set<SocketChannel>();
  readonly #followers = new Set<SocketChannel>();
  #onFollower: ((channel: ControlChannel) => void) | undefined;

  private constructor(protocol: number) {
    this.#protocol = protocol;
  }

  /**
   * Opens one at a free port of the loopback address.
   *
   * @throws GuardError `address-not-available`.
   */
  static async open(protocol: number): Promise<Reception> {
    const reception = new Reception(protocol);
    const server = reception.#server.listen(0, meetingHost);
    await once(server, 'listening').catch((error: unknown) => {
      throw new GuardError('address-not-available', 'This window cannot listen on {host} ({code}).', {
        args: { host: meetingHost, code: systemErrorCode(error) ?? String(error) },
        cause: error,
      });
    });
    // A connection that cannot be accepted (too many open files) is no reason to stop.
    server.on('error', () => undefined);
    return reception;
  }

  get credentials(): Credentials {
    const { port } = this.#server.address() as AddressInfo;
    return { token: this.#token, port, protocol: this.#protocol };
  }

  /** From now on, and for those that are there already. */
  onFollower(listener: (channel: ControlChannel) => void): void {
    this.#onFollower = listener;
    for (const follower of this.#followers) listener(follower);
  }

  /** Ends all channels, after what was sent over them, and frees the port. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const stranger of this.#waiting) stranger.destroy();
    for (const follower of this.#followers) follower.close();
    await closed;
  }

  async #admit(socket: Socket): Promise<void> {
    const channel = new SocketChannel(socket);
    this.#waiting.add(channel);
    const [oldest] = this.#waiting;
    if (oldest !== undefined && this.#waiting.size > maxWaiting) {
      this.#waiting.delete(oldest);
      oldest.destroy();
    }
    const tooLong = setTimeout(() => channel.destroy(), handshakeMs);
    const isFollower = await greetFollower(channel, this.credentials);
    clearTimeout(tooLong);
    this.#waiting.delete(channel);
    if (!isFollower || channel.closed) {
      channel.close();
      return;
    }
    this.#followers.add(channel);
    channel.onClose(() => this.#followers.delete(channel));
    this.#onFollower?.(channel);
  }
}

/** A request that waits for its turn, as far as turns depend on it. */
export interface Waiting {
  /** Counts up; of two with the same claim the lower one goes first. */
  readonly number: number;
  readonly userId: string;
  /** Higher goes first. */
  readonly priority: number;
  readonly weight: number;
  /** What it is thought to use, of its prompt and of its answer. */
  readonly tokens: number;
}

/** Those of one priority. */
interface Level<T> {
  readonly priority: number;
  /** How many rounds were gone. */
  round: number;
  /** Users with somebody waiting whose turn may come. */
  readonly users: Set<User<T>>;
}

interface User<T> {
  readonly id: string;
  level: Level<T>;
  weight: number;
  /** The round in which all that it has had is paid for. */
  paidIn: number;
  /** Oldest first. */
  readonly waiting: Set<T>;
  running: number;
  /** Of these, how many had their turn given away. */
  givenAway: number;
  /** Of requests that are settled, the later ones counting more: what they used, and were thought to use. */
  used: number;
  estimated: number;
}

/** A request that has had its turn, and what its user has paid: rounds, which were worth `weight` tokens each. */
interface Taken<T> {
  readonly user: User<T>;
  readonly weight: number;
  readonly paid: number;
}

/** As many users who have gone with a debt are remembered; beyond that the one who went first is forgiven. */
const maxDebtors = 1_000;

/** How much a settled request still counts for the next estimate when one more is settled. */
const memory = 0.9;

/** An estimate is not taken for less than this part of it, whatever the user's requests came to before. */
const leastShare = 1 / 32;

/**
 * Whose turn it is. Priority first; among users of the same priority by weighted deficit round robin with tokens as the
 * cost (M. Shreedhar and G. Varghese, Efficient Fair Queueing Using Deficit Round Robin, 1995), so that many small
 * requests are worth as much as one big one (SEC-72).
 *
 * A turn is had on credit, because what it costs is known at its end: whoever is out of debt goes next, pays the
 * estimate at once and is corrected later. A round pays every user one token per unit of weight. Rounds are not gone
 * through one by one: each user has the round in which its debt is paid, the least of those is whose turn it is, and the
 * round moves on to there. Nobody saves up: who comes back, or used less than was thought, is out of debt and no more.
 *
 * Clients differ in how much more they ask for than they use (an agent's `max_tokens` may be twenty times its answers),
 * and a user who pays that much beforehand gets fewer slots than others. So of an estimate that part is paid which the
 * user's requests came to lately.
 */
export class Turns<T extends Waiting> {
  /** Users who wait, have had a turn that is not settled, or are in debt. */
  readonly #users = new Map<string, User<T>>();
  readonly #levels = new Map<number, Level<T>>();
  readonly #taken = new Map<T, Taken<T>>();
  /** Of those, whose turn was given away. */
  readonly #givenAway = new Set<T>();
  /** Users who have nothing here but a debt. */
  readonly #debtors = new Set<User<T>>();
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Whether somebody waits whose turn may come. */
  get hasNext(): boolean {
    return this.#highest() !== undefined;
  }

  /** Whether no turn comes to this user for now. */
  isHeld(userId: string): boolean {
    return (this.#users.get(userId)?.givenAway ?? 0) > 0;
  }

  /** How many of this user wait. */
  waitingOf(userId: string): number {
    return this.#users.get(userId)?.waiting.size ?? 0;
  }

  add(request: T): void {
    const user = this.#user(request);
    if (user.waiting.size === 0) user.paidIn = Math.max(user.paidIn, user.level.round);
    user.weight = request.weight;
    user.waiting.add(request);
    if (user.givenAway === 0) user.level.users.add(user);
    this.#size += 1;
  }

  /** It waits no longer. */
  remove(request: T): void {
    const user = this.#users.get(request.userId);
    if (user === undefined || !this.#unqueue(user, request)) return;
    this.#rest(user);
  }

  /** Whose turn it is now; it waits no longer, and has to be settled. */
  next(): T | undefined {
    const level = this.#highest();
    const user = level && first(level.users);
    const request = user && head(user);
    if (level === undefined || user === undefined || request === undefined) return undefined;
    this.#unqueue(user, request);
    level.round = Math.max(level.round, user.paidIn);
    const paid = price(user, request);
    user.paidIn += paid;
    user.running += 1;
    this.#taken.set(request, { user, weight: user.weight, paid });
    return request;
  }

  /**
   * The turn of a request that is not over goes to somebody else. To nobody of its own user: who lets answers wait would
   * have as many at once as it likes.
   */
  giveAway(request: T): void {
    const taken = this.#taken.get(request);
    if (taken === undefined || this.#givenAway.has(request)) return;
    this.#givenAway.add(request);
    taken.user.givenAway += 1;
    taken.user.level.users.delete(taken.user);
  }

  /** A request that has had its turn used so many tokens. */
  settle(request: T, tokens: number): void {
    const taken = this.#taken.get(request);
    if (taken === undefined) return;
    const { user, weight, paid } = taken;
    this.#taken.delete(request);
    const corrected = user.paidIn + tokens / weight - paid;
    user.paidIn = Math.max(corrected, Math.min(user.paidIn, user.level.round));
    user.used = user.used * memory + tokens;
    user.estimated = user.estimated * memory + request.tokens;
    user.running -= 1;
    if (this.#givenAway.delete(request)) user.givenAway -= 1;
    if (user.givenAway === 0 && user.waiting.size > 0) user.level.users.add(user);
    this.#rest(user);
  }

  /** Those who wait, in the order in which their turns come if nobody else comes and no estimate is corrected. */
  order(): readonly T[] {
    const users = [...this.#users.values()];
    return [...this.#levels.values()]
      .sort((a, b) => b.priority - a.priority)
      .flatMap((level) =>
        users
          .filter((user) => user.level === level)
          .flatMap(claims)
          .sort(byClaim),
      )
      .map(([request]) => request);
  }

  #user({ userId, priority, weight }: T): User<T> {
    const level = this.#level(priority);
    const user = this.#users.get(userId) ?? {
      id: userId,
      level,
      weight,
      paidIn: level.round,
      waiting: new Set(),
      running: 0,
      givenAway: 0,
      used: 0,
      estimated: 0,
    };
    this.#users.set(userId, user);
    this.#debtors.delete(user);
    if (user.level !== level) this.#move(user, level);
    return user;
  }

  #level(priority: number): Level<T> {
    const level = this.#levels.get(priority) ?? { priority, round: 0, users: new Set() };
    this.#levels.set(priority, level);
    return level;
  }

  /** A user's role has changed: all that waits of it goes along, and so does its debt. */
  #move(user: User<T>, level: Level<T>): void {
    user.paidIn += level.round - user.level.round;
    if (user.level.users.delete(user)) level.users.add(user);
    user.level = level;
  }

  #highest(): Level<T> | undefined {
    let highest: Level<T> | undefined;
    for (const level of this.#levels.values()) {
      if (level.users.size > 0 && level.priority >= (highest?.priority ?? level.priority)) highest = level;
    }
    return highest;
  }

  #unqueue(user: User<T>, request: T): boolean {
    if (!user.waiting.delete(request)) return false;
    this.#size -= 1;
    if (user.waiting.size === 0) user.level.users.delete(user);
    return true;
  }

  /** Forgets a user who has nothing here any more, and everybody when nobody has. */
  #rest(user: User<T>): void {
    if (this.#size === 0 && this.#taken.size === 0) {
      this.#users.clear();
      this.#levels.clear();
      this.#debtors.clear();
    } else if (user.waiting.size === 0 && user.running === 0) {
      if (user.paidIn <= user.level.round) this.#users.delete(user.id);
      else this.#debtors.add(user);
      const [oldest] = this.#debtors;
      if (oldest !== undefined && this.#debtors.size > maxDebtors) {
        this.#debtors.delete(oldest);
        this.#users.delete(oldest.id);
      }
    }
  }
}

function head<T>({ waiting }: User<T>): T | undefined {
  return waiting.values().next().value;
}

/** The user whose turn it is. */
function first<T extends Waiting>(users: Iterable<User<T>>): User<T> | undefined {
  let best: User<T> | undefined;
  for (const user of users) {
    if (best === undefined || user.paidIn < best.paidIn || (user.paidIn === best.paidIn && isOlder(user, best))) {
      best = user;
    }
  }
  return best;
}

/** What a turn costs beforehand, in rounds. */
function price<T extends Waiting>({ weight, used, estimated }: User<T>, { tokens }: T): number {
  const share = estimated === 0 ? 1 : Math.min(1, Math.max(leastShare, used / estimated));
  return (tokens * share) / weight;
}

function isOlder<T extends Waiting>(a: User<T>, b: User<T>): boolean {
  return (head(a)?.number ?? 0) < (head(b)?.number ?? 0);
}

/** The round in which each request's turn comes. */
type Claim<T> = readonly [request: T, round: number];

function claims<T extends Waiting>(user: User<T>): readonly Claim<T>[] {
  let round = user.paidIn;
  return [...user.waiting].map((request) => {
    const claim = [request, round] as const;
    round += price(user, request);
    return claim;
  });
}

function byClaim<T extends Waiting>([a, roundOfA]: Claim<T>, [b, roundOfB]: Claim<T>): number {
  return roundOfA - roundOfB || a.number - b.number;
}

/**
 * A tab that works through the leader. It looks for it until it has a line, asks by it what only the leader can do, and begins anew with the
 * next leader when that one is gone: closed, killed, or asleep.
 */
import { type Channel, type Runtime, type Transport, WeftError } from '@weft-db/engine'
import { Line } from './line.ts'
import { hallName, isLedAsleep, lineName, outlive } from './lock.ts'
import type { HallMessage, Questions, Tidings, Topic } from './messages.ts'

export interface FollowingEvents {
  /** The leader told of itself; the next word waits until this one is dealt with. */
  tidings(tidings: Tidings): Promise<void>
  /** There is a leader now, or none. */
  changed(): void
  /** The leader is to know what was written here. Resolves when it stores all of it. */
  handOver(): Promise<void>
  /** Nobody leads who is awake. */
  silent(): void
}

/** Between two looks at whether the leader is there and awake, ms. */
const pace = 250
/** So long without an answer, and it is not, ms. */
const patience = 2_000
/**
 * What one look counts for at most, ms: browsers call the timers of a tab in the background once a second, and a tab that was itself held up
 * finds the answer before it looks again.
 */
const longestLook = 1_100
/** Until a channel that closed is dialled again, ms. */
const redial = 50

export class Following {
  readonly #name: string
  readonly #tab: string
  readonly #hall: BroadcastChannel
  readonly #runtime: Runtime
  readonly #events: FollowingEvents
  #sought: Line | undefined
  #soughtName = ''
  #line: Line | undefined
  #tidings: Tidings | undefined
  #forget: () => void = () => undefined
  #calls = 0
  /** By this line the network and the person became those of the leader: before, the two would not know each other. */
  #briefed: Line | undefined
  #onChannel: ((channel: Channel) => void) | undefined
  #cancelLook: (() => void) | undefined
  #cancelDial: (() => void) | undefined
  /** How long nobody has answered, ms. */
  #silence = 0
  #isOver = false
  #handling: Promise<void> = Promise.resolve()
  /** Who waits for a leader. */
  #waiting: (() => void)[] = []

  constructor(name: string, tab: string, runtime: Runtime, events: FollowingEvents) {
    this.#name = name
    this.#tab = tab
    // One of its own: the leader in this very tab is heard too.
    this.#hall = new BroadcastChannel(hallName(name))
    this.#hall.onmessage = ({ data }: MessageEvent<HallMessage>) => this.#heard(data)
    this.#runtime = runtime
    this.#events = events
    this.#seek()
    this.#look()
  }

  get tidings(): Tidings | undefined {
    return this.#tidings
  }

  get isAttached(): boolean {
    return this.#line !== undefined
  }

  /** The replica's transport to the leader. */
  readonly transport: Transport = {
    start: (onChannel) => {
      this.#onChannel = onChannel
      this.#dial()
    },
    stop: async () => {
      this.#onChannel = undefined
      this.#cancelDial?.()
      this.#line?.hangUp('stopped')
    },
  }

  /** Asks the leader there is. Rejects with `Unreachable` when there is none, or it goes before it answers. */
  async ask<T extends Topic>(topic: T, ask: Questions[T]['ask']): Promise<Questions[T]['answer']> {
    if (this.#line === undefined) throw new WeftError('Unreachable', topic)
    return this.#line.ask(topic, ask)
  }

  /** Asks whoever leads, and the next one when that one goes. */
  async insist<T extends Topic>(topic: T, ask: Questions[T]['ask']): Promise<Questions[T]['answer']> {
    for (;;) {
      const line = await this.#attached()
      try {
        return await line.ask(topic, ask)
      } catch (error) {
        const isGone = error instanceof WeftError && error.code === 'Unreachable' && this.#line !== line
        if (!isGone) throw error
      }
    }
  }

  async #attached(): Promise<Line> {
    for (;;) {
      if (this.#isOver) throw new WeftError('Closed', 'this tab')
      if (this.#line !== undefined) return this.#line
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when what the leader said so far is dealt with. */
  settled(): Promise<void> {
    return this.#handling
  }

  #heard(message: HallMessage): void {
    if (this.#isOver || message.kind === 'seek') return
    if (message.kind === 'coming') {
      this.#silence = 0
      return
    }
    if (message.line === null) {
      // Whoever led before leads no more.
      this.#lose()
      return this.#seek()
    }
    if (message.line !== this.#soughtName || this.#sought === undefined) return
    this.#line = this.#sought
    this.#sought = undefined
    this.#silence = 0
    this.#forget = outlive(message.leader, () => this.#gone())
    for (const resolve of this.#waiting.splice(0)) resolve()
    this.#events.changed()
    this.#dial()
  }

  #seek(): void {
    this.#sought?.close()
    this.#soughtName = crypto.randomUUID()
    const line: Line = new Line(lineName(this.#name, this.#soughtName), {
      answer: (topic) => this.#answer(topic),
      tidings: (tidings) => {
        if (line === this.#line || line === this.#sought) this.#take(tidings, line)
      },
      dialled: () => undefined,
      closed: () => {
        if (line === this.#line) this.#gone()
      },
    })
    this.#sought = line
    this.#hall.postMessage({ kind: 'seek', tab: this.#tab, line: this.#soughtName } satisfies HallMessage)
  }

  async #answer<T extends Topic>(topic: T): Promise<Questions[T]['answer']> {
    if (topic === 'handOver') await this.#events.handOver()
    else if (topic !== 'wake') throw new WeftError('NotAuthority', topic)
    return null
  }

  #take(tidings: Tidings, line: Line): void {
    this.#handling = this.#handling
      .then(async () => {
        if (this.#isOver) return
        await this.#events.tidings(tidings)
        this.#tidings = tidings
        this.#events.changed()
        if (this.#briefed === line || tidings.network === undefined) return
        this.#briefed = line
        this.#dial()
      })
      .catch(() => undefined)
  }

  #dial(): void {
    const line = this.#line
    if (line === undefined || this.#onChannel === undefined || this.#briefed !== line) return
    const channel = line.open(this.#calls++, true)
    this.#onChannel(
      whenClosed(channel, () => {
        this.#cancelDial?.()
        this.#cancelDial = this.#runtime.timer(redial, () => this.#dial())
      }),
    )
  }

  #gone(): void {
    this.#lose()
    this.#seek()
  }

  #lose(): void {
    const line = this.#line
    if (line === undefined) return
    this.#line = undefined
    this.#forget()
    this.#cancelDial?.()
    line.close()
    this.#events.changed()
  }

  /** Looks again and again whether somebody leads and is awake. */
  #look(): void {
    const began = this.#runtime.elapsed()
    this.#cancelLook = this.#runtime.timer(pace, () => {
      this.#silence += Math.min(this.#runtime.elapsed() - began, longestLook)
      if (this.#silence > patience) {
        this.#silence = 0
        this.#lose()
        this.#events.silent()
        this.#seek()
      } else if (this.#line === undefined) {
        this.#seek()
        this.#lookAtLock().catch(() => undefined)
      } else {
        const line = this.#line
        line.ask('wake', null).then(
          () => {
            if (line === this.#line) this.#silence = 0
          },
          () => undefined,
        )
      }
      this.#look()
    })
  }

  /** Nobody has to wait for an answer of a page that cannot give one. */
  async #lookAtLock(): Promise<void> {
    if ((await isLedAsleep(this.#name)) && this.#line === undefined && !this.#isOver) this.#events.silent()
  }

  stop(): void {
    if (this.#isOver) return
    this.#lose()
    this.#isOver = true
    this.#cancelLook?.()
    this.#cancelDial?.()
    this.#sought?.close()
    this.#hall.close()
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** The same channel; `closed` is called when it closed. */
const whenClosed = (channel: Channel, closed: () => void): Channel => ({
  remote: channel.remote,
  isLocal: true,
  initiator: channel.initiator,
  get buffered() {
    return channel.buffered
  },
  send: (message) => channel.send(message),
  close: (reason) => channel.close(reason),
  listen: (listener) =>
    channel.listen({
      message: (bytes) => listener.message(bytes),
      drain: () => listener.drain(),
      closed: (reason) => {
        listener.closed(reason)
        closed()
      },
    }),
})

/**
 * The agenda of the world: a binary heap of events ordered by (time, sequence), so that events due at the same moment run in the order in
 * which they were scheduled. Cancelled events stay inside until they surface or make up half of the heap.
 */
export interface Event {
  readonly time: number
  readonly sequence: number
  readonly label: string
  /** Absent once cancelled. */
  run: (() => void) | undefined
}

const before = (left: Event, right: Event): boolean =>
  left.time < right.time || (left.time === right.time && left.sequence < right.sequence)

export class EventHeap {
  #events: Event[] = []
  #cancelled = 0

  /** Events that are still to run. */
  get size(): number {
    return this.#events.length - this.#cancelled
  }

  push(event: Event): void {
    this.#events.push(event)
    this.#up(this.#events.length - 1)
  }

  cancel(event: Event): void {
    if (event.run === undefined) return
    event.run = undefined
    this.#cancelled++
    if (this.#cancelled < 64 || this.#cancelled * 2 < this.#events.length) return
    this.#events = this.#events.filter((kept) => kept.run !== undefined)
    this.#cancelled = 0
    for (let index = (this.#events.length >> 1) - 1; index >= 0; index--) this.#down(index)
  }

  /** The next event that is not cancelled; it stays inside. */
  peek(): Event | undefined {
    let first = this.#events[0]
    while (first !== undefined && first.run === undefined) {
      this.#remove()
      this.#cancelled--
      first = this.#events[0]
    }
    return first
  }

  pop(): Event | undefined {
    const first = this.peek()
    if (first !== undefined) this.#remove()
    return first
  }

  #remove(): void {
    const last = this.#events.pop()
    if (last === undefined || this.#events.length === 0) return
    this.#events[0] = last
    this.#down(0)
  }

  #at(index: number): Event {
    const event = this.#events[index]
    if (event === undefined) throw new RangeError(`no event at ${index}`)
    return event
  }

  #up(from: number): void {
    const event = this.#at(from)
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(event, this.#at(parent))) break
      this.#events[index] = this.#at(parent)
      index = parent
    }
    this.#events[index] = event
  }

  #down(from: number): void {
    const event = this.#at(from)
    let index = from
    for (;;) {
      let child = 2 * index + 1
      if (child >= this.#events.length) break
      if (child + 1 < this.#events.length && before(this.#at(child + 1), this.#at(child))) child++
      if (!before(this.#at(child), event)) break
      this.#events[index] = this.#at(child)
      index = child
    }
    this.#events[index] = event
  }
}

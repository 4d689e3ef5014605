/** What clients of any server are to the bench: the first one writes, the others have a callback that says what came. */

export interface Crowd {
  /** Writes one change; resolves when all others were told of it. Numbers grow from call to call. */
  send(number: number): Promise<void>
  /** So many transactions on so many items at once; resolves when all others have all of them. */
  burst?(count: number): Promise<void>
  close(): Promise<void>
}

export interface Gathering {
  readonly port: number
  readonly members: number
  /** Whether clients that store what they get store it on disk. */
  readonly durable: boolean
  /** Bytes of a message that is no more than bytes. */
  readonly bytes: number
}

export type Gather = (gathering: Gathering) => Promise<Crowd | undefined>

/** Resolves when each of so many members has been told of a number. */
export class Roll {
  #number = -1
  #missing = 0
  #done: () => void = () => undefined
  readonly #told = new Set<number>()

  call(number: number, members: number): Promise<void> {
    this.#number = number
    this.#missing = members
    this.#told.clear()
    return new Promise((resolve) => {
      this.#done = resolve
    })
  }

  answer(member: number, number: number): void {
    if (number !== this.#number || this.#told.has(member)) return
    this.#told.add(member)
    if (--this.#missing === 0) this.#done()
  }
}

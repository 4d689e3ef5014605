/** A process of its own for one engine: its heap, its compiled code and its processor time are not mixed with another's. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

const main = fileURLToPath(new URL('./child-main.ts', import.meta.url))

export class Child {
  readonly role: string
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #asked = 0

  private constructor(role: string) {
    this.role = role
    this.#process = fork(main, [role], {
      execArgv: [...process.execArgv, '--expose-gc'],
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    this.#process.on('message', (answer: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if (answer.error === undefined) waiting?.resolve(answer.value)
      else waiting?.reject(new Error(`${role}: ${answer.error}`))
    })
    this.#process.once('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${role} ended with ${code}`))
      this.#waiting.clear()
    })
  }

  static start(role: string): Child {
    return new Child(role)
  }

  /** The answer's type is the caller's knowledge of the role. */
  ask<Answer>(method: string, ...args: unknown[]): Promise<Answer> {
    const id = this.#asked++
    return new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (value) => resolve(value as Answer), reject })
      this.#process.send({ id, method, args })
    })
  }

  /** Processor time it used so far, µs. */
  cpuTime(): Promise<number> {
    return this.ask<number>('cpuTime')
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.disconnect()
    await ended
  }
}

/**
 * Files in the Origin Private File System, the fastest storage that browsers have. A worker holds them, one for all stores of the page.
 * What costs is each message, not its length: calls made in one turn go in one message. `write` waits for nothing: it goes with the next
 * call, and `sync` tells how it ended; so an append that lasts takes one message there and one back.
 *
 * A worker may end without a word. It holds a Web Lock while it lives, and the page stands in line for it: who gets the lock knows. All
 * handles are worth nothing then, as after any failure, and what is opened next is opened by another worker.
 */
import { type File, type Files, StorageError } from '@weft-db/engine'
import { storageError } from './browser-error.ts'
import { checkName } from './name.ts'
import type { Birth, Call, Outcome, Value } from './opfs-messages.ts'
import { lock } from './weblock.ts'

export interface OpfsFiles extends Files {
  /** Opens the store. Rejects where the browser offers none that works; `lock` and every other call do so too. */
  ready(): Promise<void>
  /** Lets go of all files, for another tab to have them. To be called before a lock is released that was not taken by `lock` of this. */
  leave(): Promise<void>
  /**
   * The same at once, whatever is under way: the worker ends, and what it has not synced may be lost. For a page that will not run again soon.
   */
  abandon(): void
}

/** A new store has really been written, synced and read once it is ready. The worker begins to load at once. */
export const opfsFiles = (store: string): OpfsFiles => {
  try {
    worker()
  } catch {
    // Whoever asks for files is told.
  }
  const ask = (call: Call, about: string): Promise<Value> => worker().call(call, about)
  const ready = async (): Promise<void> => void (await ask({ do: 'ready', store }, store))
  const leave = async (): Promise<void> => {
    // A worker that is gone, or was never there, holds nothing.
    await current?.call({ do: 'leave', store }, store).catch(() => undefined)
  }
  return {
    ready,
    leave,
    abandon: () => current?.end('The page let go of its files.'),
    open: async (name, create) => {
      checkName(name)
      const by = worker()
      const file = await by.call({ do: 'open', store, name, create }, name)
      return typeof file === 'number' ? openFile(by, name, file) : undefined
    },
    list: async () => {
      const names = await ask({ do: 'list', store }, store)
      return Array.isArray(names) ? names : []
    },
    rename: async (from, to) => {
      checkName(from)
      checkName(to)
      await ask({ do: 'rename', store, from, to }, from)
    },
    remove: async (name) => {
      checkName(name)
      await ask({ do: 'remove', store, name }, name)
    },
    syncNames: async () => void (await ask({ do: 'syncNames', store }, store)),
    lock: async () => {
      const release = await lock(store)
      let held = true
      const end = async (): Promise<void> => {
        if (!held) return
        held = false
        await leave()
        await release()
      }
      try {
        await ready()
        return end
      } catch (error) {
        await end()
        throw error
      }
    },
  }
}

const openFile = (by: OpfsWorker, name: string, file: number): File => {
  let open = true
  const ask = async (call: Call): Promise<Value> => {
    if (!open) throw new StorageError('DiskError', `${name} is closed`)
    return by.call(call, name)
  }
  return {
    size: async () => Number(await ask({ do: 'size', file })),
    read: async (at, length) => {
      const bytes = await ask({ do: 'read', file, at, length })
      return bytes instanceof Uint8Array ? bytes : new Uint8Array(0)
    },
    write: async (at, given) => {
      if (!open) throw new StorageError('DiskError', `${name} is closed`)
      // The caller may go on using its array.
      by.write({ do: 'write', file, at, bytes: given.slice() })
      return given.length
    },
    sync: async () => void (await ask({ do: 'sync', file })),
    truncate: async (size) => void (await ask({ do: 'truncate', file, size })),
    close: async () => {
      if (!open) return
      open = false
      await by.call({ do: 'close', file }, name).catch(() => undefined)
    },
  }
}

/**
 * The worker begins to load, for whoever opens a store soon. The returned function ends it, unless it was asked for anything by then. Does
 * nothing where the browser offers no files.
 */
export const startWorker = (): (() => void) => {
  try {
    const started = worker()
    return () => started.endUnused()
  } catch {
    return () => undefined
  }
}

/** How long a worker may take to load and to answer first, ms: longer is as good as never. */
const patience = 10_000
/** Written bytes that wait for another call, at most. */
const gatheredBytes = 1_048_576

interface Asked {
  readonly call: Call
  resolve(value: Value): void
  reject(error: unknown): void
  readonly about: string
}

class OpfsWorker {
  readonly #worker: Worker
  readonly #sent: Asked[][] = []
  #gathered: Asked[] = []
  #bytes = 0
  #isPosting = false
  #end: Error | undefined
  #isUsed = false
  readonly #loading: ReturnType<typeof setTimeout>
  /** In line for its life. */
  readonly #waiting = new AbortController()

  /** Throws where the browser has none of it: the DOM's types promise to every page what secure contexts alone have. */
  constructor() {
    const { locks, storage }: { locks?: LockManager; storage?: Partial<StorageManager> } = navigator
    if (locks === undefined || storage?.getDirectory === undefined) {
      throw new Error('This browser offers no private file system, or none to pages that are not served by https.')
    }
    const life = `weft worker ${crypto.randomUUID()}`
    this.#worker = new Worker(new URL('./opfs-worker.ts', import.meta.url), { type: 'module' })
    this.#worker.onmessage = ({ data }: MessageEvent<'born' | readonly Outcome[]>) => {
      if (data !== 'born') return this.#answered(data)
      const gone = (): void => this.end('The worker that held the files has ended.')
      locks.request(life, { signal: this.#waiting.signal }, gone).catch(gone)
    }
    this.#worker.onerror = ({ message }) => this.end(message || 'The script of the worker was not loaded.')
    this.#loading = setTimeout(() => this.end('The worker did not start in time.'), patience)
    const birth: Birth = { life }
    this.#worker.postMessage(birth)
  }

  call(call: Call, about: string): Promise<Value> {
    const answered = new Promise<Value>((resolve, reject) => this.#gather({ call, resolve, reject, about }))
    if (!this.#isPosting) {
      this.#isPosting = true
      queueMicrotask(() => this.#post())
    }
    return answered
  }

  /** Nobody waits for it: the handle remembers a failure, and whatever comes next on it tells. */
  write(call: Extract<Call, { do: 'write' }>): void {
    this.#gather({ call, resolve: () => undefined, reject: () => undefined, about: '' })
    this.#bytes += call.bytes.length
    if (this.#bytes >= gatheredBytes) this.#post()
  }

  #gather(asked: Asked): void {
    this.#isUsed = true
    if (this.#end === undefined) this.#gathered.push(asked)
    else asked.reject(storageError(this.#end, asked.about))
  }

  #post(): void {
    this.#isPosting = false
    const batch = this.#gathered.splice(0)
    this.#bytes = 0
    if (batch.length === 0) return
    this.#sent.push(batch)
    const calls = batch.map(({ call }) => call)
    this.#worker.postMessage(calls, {
      transfer: calls.flatMap((call) => (call.do === 'write' ? [call.bytes.buffer] : [])),
    })
  }

  #answered(outcomes: readonly Outcome[]): void {
    clearTimeout(this.#loading)
    for (const [index, { resolve, reject, about }] of (this.#sent.shift() ?? []).entries()) {
      const outcome = outcomes[index]
      if (outcome !== undefined && 'value' in outcome) resolve(outcome.value)
      else reject(storageError(Object.assign(new Error(outcome?.error.message), outcome?.error), about))
    }
  }

  endUnused(): void {
    if (!this.#isUsed) this.end('Nobody asked for files.')
  }

  /** Whoever waits for an answer is refused, and the browser closes what was open. */
  end(why: string): void {
    if (this.#end !== undefined) return
    this.#end = new Error(why)
    clearTimeout(this.#loading)
    // A page that is given a lock is not kept for the way back.
    this.#waiting.abort()
    this.#worker.terminate()
    if (current === this) current = undefined
    for (const { reject, about } of [...this.#sent.splice(0).flat(), ...this.#gathered.splice(0)]) {
      reject(storageError(this.#end, about))
    }
  }
}

let current: OpfsWorker | undefined

const worker = (): OpfsWorker => {
  try {
    current ??= new OpfsWorker()
    return current
  } catch (error) {
    throw storageError(error, 'worker')
  }
}

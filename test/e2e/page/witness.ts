/** Reports every file that is opened for writing here and every change of one, before it is made: to be loaded before whatever does so. */
export interface Report {
  readonly writer: string
  readonly did: 'open' | 'change'
  readonly file: string
}

const writer = crypto.randomUUID()

const report = (did: Report['did'], file: string): void => {
  const request = new XMLHttpRequest()
  // Whoever reports waits, so that no change overtakes its report.
  request.open('POST', '/report', false)
  request.send(JSON.stringify({ writer, did, file } satisfies Report))
}

/** Calls `before` with what it is called on and with, and then does what it did. */
const precede = <Of extends object, Name extends keyof Of>(
  of: Of,
  name: Name,
  before: (self: Of, given: readonly unknown[]) => void,
): void => {
  const own: unknown = of[name]
  if (typeof own !== 'function') return
  const instead = function (this: Of, ...given: unknown[]): unknown {
    before(this, given)
    return Reflect.apply(own, this, given)
  }
  Object.defineProperty(of, name, { value: instead, configurable: true, writable: true })
}

/** What the DOM's types know in workers alone. */
declare global {
  var FileSystemSyncAccessHandle: { readonly prototype: Record<'write' | 'truncate', unknown> } | undefined
}

interface Openable {
  createSyncAccessHandle(...given: unknown[]): Promise<object>
}

const names = new WeakMap<object, string>()

/** The worker's files: a handle excludes all others until it is closed, or so the browser says. */
export const watchFiles = (): void => {
  if (globalThis.FileSystemSyncAccessHandle === undefined) return
  const of: Openable = FileSystemFileHandle.prototype as FileSystemFileHandle & Openable
  const own = of.createSyncAccessHandle
  of.createSyncAccessHandle = async function (this: FileSystemFileHandle & Openable, ...given: unknown[]) {
    const handle = await own.apply(this, given)
    names.set(handle, this.name)
    report('open', this.name)
    return handle
  }
  const { prototype } = globalThis.FileSystemSyncAccessHandle
  for (const name of ['write', 'truncate'] as const)
    precede(prototype, name, (handle) => report('change', names.get(handle) ?? '?'))
}

/** The page's chunks in IndexedDB: whoever lists the names there begins with the store. */
export const watchChunks = (): void => {
  const { prototype } = IDBObjectStore
  precede(prototype, 'getAllKeys', (store) => {
    if (store.name === 'names') report('open', store.transaction.db.name)
  })
  for (const name of ['put', 'delete'] as const)
    precede(prototype, name, (store) => {
      if (store.name === 'chunks') report('change', store.transaction.db.name)
    })
}

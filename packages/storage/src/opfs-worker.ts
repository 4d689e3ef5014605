/** The worker that holds a page's files in the Origin Private File System: synchronous access is offered to dedicated workers alone. */
import { opfsDirectory } from './opfs-directory.ts'
import type { Birth, Call, Outcome, Value } from './opfs-messages.ts'
import { type OpenFile, OpfsStore } from './opfs-store.ts'

const stores = new Map<string, OpfsStore>()
const files = new Map<number, { readonly store: OpfsStore; readonly file: OpenFile }>()
let opened = 0

/** How often is looked whether the browser removed the files, ms, while something is synced. */
const checkEvery = 1_000
const checked = new WeakMap<OpfsStore, number>()

const check = async (store: OpfsStore): Promise<void> => {
  const now = performance.now()
  if (now - (checked.get(store) ?? Number.NEGATIVE_INFINITY) < checkEvery) return
  checked.set(store, now)
  await store.check()
}

const storeOf = async (name: string): Promise<OpfsStore> => {
  const known = stores.get(name)
  if (known !== undefined) return known
  const store = await OpfsStore.open(await opfsDirectory(name))
  stores.set(name, store)
  return store
}

const carryOut = async (call: Call): Promise<Value> => {
  if (!('store' in call)) return use(call)
  if (call.do === 'leave') {
    stores.get(call.store)?.close()
    stores.delete(call.store)
    return undefined
  }
  const store = await storeOf(call.store)
  switch (call.do) {
    case 'ready':
      return undefined
    case 'list':
      return store.list()
    case 'syncNames':
      await store.syncNames()
      await check(store)
      return undefined
    case 'rename':
      await store.rename(call.from, call.to)
      return undefined
    case 'remove':
      await store.remove(call.name)
      return undefined
    case 'open': {
      const file = await store.open(call.name, call.create)
      if (file === undefined) return undefined
      files.set(++opened, { store, file })
      return opened
    }
  }
}

const use = async (call: Extract<Call, { file: number }>): Promise<Value> => {
  const found = files.get(call.file)
  if (found === undefined) throw new Error('The file is closed.')
  const { store, file } = found
  switch (call.do) {
    case 'size':
      return store.size(file)
    case 'read':
      return store.read(file, call.at, call.length)
    case 'write':
      store.write(file, call.at, call.bytes)
      return undefined
    case 'truncate':
      store.truncate(file, call.size)
      return undefined
    case 'sync':
      store.sync(file)
      await check(store)
      return undefined
    case 'close':
      files.delete(call.file)
      store.release(file)
      return undefined
  }
}

const outcomeOf = async (call: Call): Promise<Outcome> => {
  try {
    return { value: await carryOut(call) }
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    return { error: { name, message } }
  }
}

const answer = async (calls: readonly Call[]): Promise<void> => {
  const outcomes: Outcome[] = []
  for (const call of calls) outcomes.push(await outcomeOf(call))
  const transfer = outcomes.flatMap((outcome) =>
    'value' in outcome && outcome.value instanceof Uint8Array ? [outcome.value.buffer] : [],
  )
  self.postMessage(outcomes, { transfer })
}

/** Resolves when the lock is held; it falls with the worker. */
const live = ({ life }: Birth): Promise<void> =>
  new Promise((resolve, reject) => {
    const held = () => {
      resolve()
      return new Promise<never>(() => undefined)
    }
    navigator.locks.request(life, held).catch(reject)
  })

// The first call takes longest, and is under way while the page finds out whether it may have the store. Whoever asks again is told.
navigator.storage.getDirectory().catch(() => undefined)

let last = Promise.resolve()
self.onmessage = ({ data }: MessageEvent<Birth | readonly Call[]>) => {
  last = last.then(async () => {
    if (!('life' in data)) return answer(data)
    await live(data)
    self.postMessage('born')
  })
}

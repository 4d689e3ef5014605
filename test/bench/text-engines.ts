/** One text in each engine, typed as a trace says: a stretch of edits at a time. */
import { schema, type TextHandle, text } from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { type Patch, readTrace } from '../replay/trace.ts'
import { cpuOf, cpuOfAsync } from './measure.ts'
import type { Methods } from './methods.ts'
import { peer } from './peers.ts'
import { openAlone } from './replica.ts'

export interface Stretch {
  /** Of the edits themselves, µs; and of what they set off behind the caller's back. */
  readonly cpu: number
  readonly behind: number
}

export interface Written {
  readonly bytes: number
  /** The same without signatures, where there are any. */
  readonly unsigned?: number
  readonly commits?: number
}

interface Engine {
  splice(at: number, remove: number, insert: string): void
  /** Runs a stretch of edits as the engine's own transaction. */
  within?(run: () => void): void
  settle?(): Promise<void>
  /** Types at its own pace, in the place of all of the above. */
  typed?(patches: readonly Patch[]): Promise<void>
  toString(): string
  written(): Written | Promise<Written>
}

/** Edits of a trace in their order. Positions count code points, which are units in a trace without characters beyond the first plane. */
const editsOf = (file: string): { readonly patches: readonly Patch[]; readonly end: string } => {
  const { transactions, endContent } = readTrace(file)
  return { patches: transactions.flatMap(({ patches }) => patches), end: endContent }
}

const methodsOf = (engine: Engine): Methods => {
  let edits: ReturnType<typeof editsOf> | undefined
  return {
    open: (file: string): number => {
      edits = editsOf(file)
      return edits.patches.length
    },
    type: async (from: number, to: number): Promise<Stretch> => {
      const patches = edits?.patches.slice(from, to) ?? []
      if (engine.typed !== undefined) return { cpu: 0, behind: await cpuOfAsync(async () => engine.typed?.(patches)) }
      const run = () => {
        for (const [at, remove, insert] of patches) engine.splice(at, remove, insert)
      }
      const cpu = cpuOf(() => (engine.within === undefined ? run() : engine.within(run)))
      return { cpu, behind: await cpuOfAsync(async () => engine.settle?.()) }
    },
    written: (isWhole: boolean) => {
      if (isWhole && engine.toString() !== edits?.end) throw new Error('the text is not the end of the trace')
      return engine.written()
    },
  }
}

const Page = schema('page', 1, { text: text() })
/** As good as never: what is measured says when it is captured. */
const byHand = 1e-6
const openPage = async () => {
  const files = memoryFiles()
  const { repository, store } = await openAlone([Page], files, byHand)
  const page = repository.create(Page, {}, { key: 'page' })
  await store()
  const sizeOfLogs = async (): Promise<number> => {
    let size = 0
    for (const name of await files.list()) size += (await (await files.open(name, false))?.size()) ?? 0
    return size
  }
  const [bytesBefore, commitsBefore] = [await sizeOfLogs(), repository.pipeline.commits.size]
  const written = async (): Promise<Written> => {
    const commits = repository.pipeline.commits.size - commitsBefore
    const bytes = (await sizeOfLogs()) - bytesBefore
    let signatures = 0
    for (let at = commitsBefore; at < commitsBefore + commits; at++)
      signatures += repository.pipeline.commits.at(at)?.signature.length ?? 0
    return { bytes, unsigned: bytes - signatures, commits }
  }
  const handle: TextHandle = page.text
  return { handle, repository, store, written }
}

const weft = async (): Promise<Methods> => {
  const { handle, store, written } = await openPage()
  return methodsOf({
    splice: (at, remove, insert) => handle.splice(at, remove, insert),
    settle: store,
    toString: () => handle.toString(),
    written,
  })
}

const msPerEdit = 200
const msPerCommit = 1_000 / 3

/** The capture loop's times, for somebody who types five characters a second: the first edit at once, then three commits a second at most. */
const weftTyping = async (): Promise<Methods> => {
  const { handle, store, written } = await openPage()
  let now = 0
  let captured = Number.NEGATIVE_INFINITY
  let due: number | undefined
  /** What is captured is signed and stored long before the next time. */
  const capture = (at: number): Promise<void> => {
    captured = at
    due = undefined
    return store()
  }
  const splice = (at: number, remove: number, insert: string) => handle.splice(at, remove, insert)
  return methodsOf({
    splice,
    typed: async (patches) => {
      for (const patch of patches) {
        now += msPerEdit
        if (due !== undefined && due <= now) await capture(due)
        splice(...patch)
        if (now - captured >= msPerCommit) await capture(now)
        else due ??= captured + msPerCommit
      }
    },
    toString: () => handle.toString(),
    written,
  })
}

interface YDoc {
  getText(name: string): { insert(at: number, text: string): void; delete(at: number, length: number): void }
  transact(run: () => void): void
}

const yjs = async (): Promise<Methods | undefined> => {
  const module = await peer<{ Doc: new () => YDoc; encodeStateAsUpdateV2(doc: YDoc): Uint8Array }>('yjs')
  if (module === undefined) return undefined
  const doc = new module.Doc()
  const page = doc.getText('page')
  return methodsOf({
    splice: (at, remove, insert) => {
      if (remove > 0) page.delete(at, remove)
      if (insert !== '') page.insert(at, insert)
    },
    within: (run) => doc.transact(run),
    toString: () => page.toString(),
    written: () => ({ bytes: module.encodeStateAsUpdateV2(doc).length }),
  })
}

interface Page {
  readonly text: string
}

interface Automerge {
  from(start: Page): Page
  change(doc: Page, edit: (draft: Page) => void): Page
  splice(draft: Page, path: readonly string[], at: number, remove: number, insert: string): void
  save(doc: Page): Uint8Array
}

const automerge = async (): Promise<Methods | undefined> => {
  const module = await peer<Automerge>('@automerge/automerge')
  if (module === undefined) return undefined
  let doc = module.from({ text: '' })
  let draft: Page | undefined
  return methodsOf({
    splice: (at, remove, insert) => {
      if (draft !== undefined) module.splice(draft, ['text'], at, remove, insert)
    },
    within: (run) => {
      doc = module.change(doc, (open) => {
        draft = open
        run()
        draft = undefined
      })
    },
    toString: () => doc.text,
    written: () => ({ bytes: module.save(doc).length }),
  })
}

interface LoroDoc {
  getText(name: string): { insert(at: number, text: string): void; delete(at: number, length: number): void }
  commit(): void
  export(options: { mode: 'snapshot' | 'update' }): Uint8Array
}

const loro = async (): Promise<Methods | undefined> => {
  const module = await peer<{ LoroDoc: new () => LoroDoc }>('loro-crdt')
  if (module === undefined) return undefined
  const doc = new module.LoroDoc()
  const page = doc.getText('page')
  return methodsOf({
    splice: (at, remove, insert) => {
      if (remove > 0) page.delete(at, remove)
      if (insert !== '') page.insert(at, insert)
    },
    within: (run) => {
      run()
      doc.commit()
    },
    toString: () => page.toString(),
    written: () => ({ bytes: doc.export({ mode: 'snapshot' }).length }),
  })
}

export const textRoles: Readonly<Record<string, () => Promise<Methods | undefined>>> = {
  'text/weft': weft,
  'text/weft typing': weftTyping,
  'text/Yjs': yjs,
  'text/Automerge': automerge,
  'text/Loro': loro,
}

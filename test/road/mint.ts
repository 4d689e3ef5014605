/**
 * A store made by hand, for what no honest server writes: an authority's key, people with certificates, commits and entries signed with real
 * keys, in the order a test wants, as the files of a folder.
 */
import type { SigningKey } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { concatBytes, encodeUtf8, fromHex, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import {
  type Commit,
  composeCommit,
  type Draft,
  format,
  type Header,
  type Position,
  readCommit,
  sealCommit,
  signedBytes,
} from '../../packages/engine/src/commit/commit.ts'
import { encodeFrame, frameKinds } from '../../packages/engine/src/log/frame.ts'
import { PackedLogWriter } from '../../packages/engine/src/log/packedlog.ts'

import { headsRoot } from '../../packages/engine/src/trust/authoritylog.ts'
import { type Certificate, encodeCertificate, readCertificate } from '../../packages/engine/src/trust/certificate.ts'
import {
  type Entry,
  type EntryBody,
  encodeEntry,
  noNetwork,
  readEntry,
  rootPath,
  type Statement,
} from '../../packages/engine/src/trust/entry.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'

export const runtime = nodeRuntime()
export const { hash } = runtime
const start = 1_700_000_000_000

export interface Person {
  readonly key: SigningKey
  readonly certificate: Certificate
}

const must = <Value extends object>(
  value: Value,
): Exclude<Value, { readonly code: string; readonly about: string }> => {
  if (isRefusal(value)) throw new Error(`${value.code} ${value.about}`)
  // What is no refusal is what was asked for.
  return value as Exclude<Value, { readonly code: string; readonly about: string }>
}

const positionOf = (entry: Entry | undefined): Position | null =>
  entry === undefined ? null : { epoch: entry.epoch, n: entry.n, hash: entry.id }

export class Mint {
  readonly key: SigningKey
  readonly genesis: Entry
  readonly root: Entry[]
  readonly network: string
  readonly #frames = new Map<string, Uint8Array[]>()
  readonly #logs = new Map<string, Entry[]>()
  readonly #packs = new Map<string, PackedLogWriter>()
  readonly #isPacked: boolean
  #count = 0

  private constructor(key: SigningKey, genesis: Entry, isPacked: boolean) {
    this.#isPacked = isPacked
    this.key = key
    this.genesis = genesis
    this.root = [genesis]
    this.network = genesis.id
    this.put(rootPath, frameKinds.entry, genesis.bytes)
  }

  /** Commits in frames of their own, as logs held them before there were packs, or in packs. */
  static async open({ isPacked = true } = {}): Promise<Mint> {
    const key = await runtime.generateKey()
    const genesis = await seal(key, {
      network: noNetwork,
      log: rootPath,
      epoch: 0,
      n: 0,
      prev: null,
      root: null,
      time: start,
      signer: toHex(hash(key.publicKey)),
      statement: { kind: 'genesis', publicKey: key.publicKey, name: new Uint8Array(16).fill(7) },
    })
    return new Mint(key, genesis, isPacked)
  }

  async person(name: string, by: SigningKey = this.key, number = ++this.#count): Promise<Person> {
    const key = await runtime.generateKey()
    const body = encodeCertificate({
      network: this.network,
      publicKey: key.publicKey,
      owner: `mail:${name}`,
      name,
      issued: start,
      expires: start + 1_000_000,
      number,
      signer: toHex(hash(by.publicKey)),
    })
    const signature = await by.sign(messageOf('certificate', body, hash))
    return { key, certificate: must(readCertificate(sealBody(body, signature, hash).bytes, hash)) }
  }

  /** A commit that creates an item or touches it again. */
  async commit(
    { key, certificate }: Person,
    path: string,
    header: Partial<Header> & { readonly after?: Commit } = {},
    draft: Partial<Draft> = {},
  ): Promise<Commit> {
    const { after, ...rest } = header
    const root = positionOf(this.root.at(-1))
    if (root === null) throw new Error('there is no genesis')
    const fields: Header = {
      network: this.network,
      repository: path,
      session: certificate.session,
      incarnation: '0'.repeat(16),
      seq: after === undefined ? 0 : after.seq + 1,
      prev: after?.id ?? null,
      clock: (start + ++this.#count) * 256,
      policy: { root, authority: positionOf(this.#logs.get(path)?.at(-1)) },
      atomic: false,
      extended: false,
      ...rest,
    }
    const item = {
      key: 'item',
      parents: [],
      schema: { name: 'card', version: 1, hash: '0'.repeat(64) },
      operations: [{ kind: 'touch' }],
      salt: new Uint8Array(12).fill(this.#count),
      ...draft,
    } as const
    const commit = composeCommit(fields, [item], hash)
    const sealed = sealCommit(commit, await key.sign(signedBytes(commit.id)))
    return must(readCommit(sealed.bytes, hash))
  }

  /** The next entry of a log, or one in the place of another: `body` says what is different. */
  async entry(path: string, statement: Statement, body: Partial<EntryBody> = {}, by = this.key): Promise<Entry> {
    const log = path === rootPath ? this.root : (this.#logs.get(path) ?? [])
    const last = log.at(-1)
    return seal(by, {
      network: this.network,
      log: path,
      epoch: 0,
      n: log.length,
      prev: last?.id ?? null,
      root: path === rootPath ? null : positionOf(this.root.at(-1)),
      time: start + ++this.#count,
      signer: toHex(hash(by.publicKey)),
      statement,
      ...body,
    })
  }

  /** A checkpoint over these commits, the last of each chain. */
  checkpoint(path: string, commits: readonly Commit[], covered: readonly Commit[] = commits): Promise<Entry> {
    const heads = (list: readonly Commit[]) => list.map(({ chain, seq, id }) => ({ chain, seq, id }))
    return this.entry(path, {
      kind: 'checkpoint',
      headsRoot: headsRoot(heads(covered), hash),
      stateRoot: null,
      moved: heads(commits),
    })
  }

  /** Puts a frame into the file of a path. */
  put(path: string, kind: number, payload: Uint8Array): void {
    const frames = this.#frames.get(path) ?? [encodeFrame(frameKinds.header, this.header(path))]
    this.#frames.set(path, [...frames, encodeFrame(kind, payload)])
  }

  header(path: string): Uint8Array {
    const network = path === rootPath ? null : fromHex(this.network)
    return encode([format, network, path, new Uint8Array(16).fill(5)])
  }

  /** Puts what was made into its file, in this order; people are certified where they first write. */
  store(path: string, ...units: readonly (Entry | Commit | Person)[]): void {
    for (const unit of units) {
      if ('certificate' in unit) this.put(path, frameKinds.certificate, unit.certificate.bytes)
      else if ('repository' in unit) {
        const known = this.#packs.get(path) ?? new PackedLogWriter({ network: this.network, repository: path })
        this.#packs.set(path, known)
        const frames = this.#isPacked ? known.write([unit]) : [{ kind: frameKinds.commit, payload: unit.bytes }]
        for (const { kind, payload } of frames) this.put(path, kind, payload)
      } else {
        this.put(path, frameKinds.entry, unit.bytes)
        if (path === rootPath) this.root.push(unit)
        else this.#logs.set(path, [...(this.#logs.get(path) ?? []), unit])
      }
    }
  }

  static fileName(path: string): string {
    return `${toHex(hash(encodeUtf8(path)))}.log`
  }

  /** The files, by name. */
  files(): Map<string, Uint8Array> {
    return new Map([...this.#frames].map(([path, frames]) => [Mint.fileName(path), concatBytes(...frames)]))
  }
}

const seal = async (key: SigningKey, body: EntryBody): Promise<Entry> => {
  const bytes = encodeEntry(body)
  const signature = await key.sign(messageOf('entry', bytes, hash))
  return must(readEntry(sealBody(bytes, signature, hash).bytes, hash))
}

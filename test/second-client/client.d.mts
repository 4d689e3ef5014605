import type { KeyPairKeyObjectResult } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import type { Socket } from 'socket.io-client'

export interface Edit {
  readonly item: string
  readonly schema: readonly [name: string, version: number, hash: Uint8Array]
  readonly operations: readonly (readonly unknown[])[]
  readonly values: readonly unknown[]
}

export interface Commit {
  readonly record: Buffer
  /** Hex, as in `chain` and `prev`. */
  readonly id: string
  readonly chain: string
  readonly seq: number
  readonly prev: string | null
  readonly clock: number
  readonly signature: Uint8Array
  readonly edits: readonly {
    readonly item: string
    readonly parents: readonly string[]
    readonly operations: readonly (readonly unknown[])[]
    readonly values: readonly unknown[] | undefined
  }[]
}

export declare class Client extends EventEmitter<{
  level: []
  commit: [Commit]
  refused: [code: string, about: string | Uint8Array[]]
}> {
  constructor(url: string, path: string, name: string)
  readonly socket: Socket
  readonly isLevel: boolean
  readonly network: Buffer | null
  readonly authorities: ReadonlyMap<string, { readonly point: Buffer; readonly until: number }>
  readonly commits: ReadonlyMap<string, Commit>
  readonly tips: ReadonlyMap<string, Commit>
  /** What a second device of the same session would have too. */
  key: KeyPairKeyObjectResult
  own: {
    certificate: Buffer | null
    incarnation: Buffer
    session?: Buffer
    store: Buffer
    last: Commit | undefined
  }
  /** Throws an error with a `code`. */
  admit(records: readonly Uint8Array[], certificates: readonly Uint8Array[]): void
  compose(edits: readonly Edit[]): Buffer
  commit(edits: readonly Edit[]): Commit
}

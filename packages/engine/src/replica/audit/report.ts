/** What an audit says: for programs as it stands, for people in the words of the `weft` command. Nothing secret is in it. */
import { type Code, describeRefusal, refusal } from '../../bytes/refusal.ts'
import type { Position } from '../../commit/commit.ts'

/** The files of a store, read only. */
export interface AuditSource {
  /** The files as they are at one moment. What is appended later is not looked at. */
  list(): Promise<readonly { readonly name: string; readonly size: number }[]>
  /** The first `size` bytes of a file; fewer when there are no more. */
  read(name: string, size: number): Promise<Uint8Array>
  /** Given while a program writes the files: all of a file, a moment later. */
  readonly later?: (name: string) => Promise<Uint8Array>
}

export interface Problem {
  readonly code: Code
  readonly file: string | null
  /** Where in the file, bytes. */
  readonly offset: number | null
  /** A commit id, a path, a position: what it is about. */
  readonly about: string
  /** What is wrong and what to do. */
  readonly message: string
}

export interface AuditedFile {
  readonly name: string
  /** `log` and `evidence` are checked; the others hold nothing that counts. */
  readonly kind: 'log' | 'snapshot' | 'seal' | 'evidence' | 'torn' | 'copy' | 'lock' | 'logout' | 'mark' | 'stray'
  /** The path a log is of. */
  readonly path: string | null
  readonly size: number
  /** SHA-256, hex. */
  readonly hash: string
  readonly frames: number
}

/** A commit that does not count, all of it or a change. */
export interface DeadCommit {
  readonly commit: string
  readonly owner: string | null
  /** The item whose change it is, null for all of the commit. */
  readonly key: string | null
  readonly code: Code
  readonly reason: string
}

export interface AuditedRepository {
  readonly path: string
  readonly file: string
  readonly commits: number
  /** Of the repository's authority log. */
  readonly entries: number
  readonly position: Position | null
  /** How many commits a checkpoint covers. */
  readonly covered: number
  readonly dead: readonly DeadCommit[]
  /** What cannot count yet, with the reason. */
  readonly waiting: readonly DeadCommit[]
  readonly problems: readonly Problem[]
}

/** Who did what. */
export interface AuditedPerson {
  readonly owner: string
  /** As the newest certificate has it. */
  readonly name: string
  readonly sessions: number
  readonly commits: number
  readonly dead: number
  /** ms since 1970, by the author's clock. */
  readonly first: number
  readonly last: number
  readonly repositories: readonly { readonly path: string; readonly commits: number; readonly changes: number }[]
}

export interface AuditReport {
  readonly ok: boolean
  readonly network: string | null
  /** The authority's public keys, hex, and where its root log brought them in and retired them. */
  readonly keys: readonly {
    readonly id: string
    readonly publicKey: string
    readonly from: number
    readonly retired: number | null
  }[]
  /** Entries of the root log. */
  readonly root: { readonly entries: number; readonly position: Position | null }
  readonly files: readonly AuditedFile[]
  readonly repositories: readonly AuditedRepository[]
  readonly people: readonly AuditedPerson[]
  /** What is no problem and good to know. */
  readonly notes: readonly string[]
  readonly problems: readonly Problem[]
}

/** Where something is wrong. */
export type Tell = (code: Code, offset: number | null, about: string) => void

export const problem = (code: Code, file: string | null, offset: number | null, about: string): Problem => ({
  code,
  file,
  offset,
  about,
  message: describeRefusal(refusal(code, about)),
})

type Scalar = string | number | boolean | null
type Cite = { readonly n: number; readonly epoch: number } | null
interface Place {
  readonly id: string
  readonly chain: string
  readonly seq: number
  readonly clock: number
}
interface Collection {
  readonly set?: readonly Scalar[]
  readonly map?: Readonly<Record<string, Scalar>>
  /** By the tag. */
  readonly tags: Readonly<Record<string, Scalar>>
}
export interface FloorItem {
  readonly schema: string
  readonly key: string
  readonly isDeleted: boolean
  /** Ids of commits. */
  readonly changes: readonly string[]
  /** Of the last one. */
  readonly clock: number
  readonly fields: Readonly<Record<string, Scalar | Collection>>
}
interface Change {
  readonly schema: string
  readonly key: string
  readonly parents: readonly string[]
  readonly isInFloor?: boolean
}
export function crc32c(...parts: readonly Uint8Array[]): number
export function readLog(log: Buffer): {
  readonly network: string | null
  readonly path: string
  readonly ids: readonly string[]
  readonly commits: readonly (Place & { readonly isSigned: boolean; readonly changes: readonly Change[] })[]
  readonly floor:
    | {
        /** By chain, seq. */
        readonly floors: Readonly<Record<string, number>>
        readonly dropped: readonly (Place & { readonly root: Cite; readonly authority: Cite })[]
        readonly items: readonly FloorItem[]
      }
    | undefined
  /** Why there is no floor, though something is left of one. */
  readonly lost: string | undefined
  readonly damage: readonly (readonly [number, number])[]
  readonly torn: boolean
}

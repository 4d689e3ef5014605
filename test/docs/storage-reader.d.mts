export function crc32c(...parts: readonly Uint8Array[]): number
export function readLog(log: Buffer): {
  readonly network: string | null
  readonly path: string
  readonly ids: readonly string[]
  readonly damage: readonly (readonly [number, number])[]
  readonly torn: boolean
}

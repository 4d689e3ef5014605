import { StorageError } from '@weft-db/engine'

const codes = new Map<unknown, 'DiskFull' | 'AlreadyOpen'>([
  ['QuotaExceededError', 'DiskFull'],
  ['NoModificationAllowedError', 'AlreadyOpen'],
])

/** What a browser threw, as the port has it. Its exceptions differ by their names alone. */
export const storageError = (error: unknown, about: string): StorageError => {
  if (error instanceof StorageError) return error
  const name = typeof error === 'object' && error !== null && 'name' in error ? error.name : undefined
  return new StorageError(codes.get(name) ?? 'DiskError', about, { cause: error })
}

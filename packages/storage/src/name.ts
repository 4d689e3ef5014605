import { StorageError } from '@weft-db/engine'

/** The names a flat directory takes. The two that file systems keep for themselves fit the pattern and are refused. */
export const isName = (name: string): boolean => /^[0-9a-z._-]{1,80}$/.test(name) && name !== '.' && name !== '..'

/** Throws a `StorageError` for what is no name, so that no path ever leaves the directory. */
export const checkName = (name: string): void => {
  if (!isName(name)) throw new StorageError('DiskError', `the file name ${JSON.stringify(name)}`)
}

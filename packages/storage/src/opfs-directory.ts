/** What a store in the Origin Private File System asks of the browser: one flat directory, and files with synchronous access. */

export interface Directory {
  list(): Promise<string[]>
  has(name: string): Promise<boolean>
  /** Opens a file for this opener alone, and makes it when absent. */
  open(name: string): Promise<AccessHandle>
  /** Removing an absent file is no error. */
  remove(name: string): Promise<void>
}

/** As FileSystemSyncAccessHandle has it; the DOM's types know it in workers alone. */
export interface AccessHandle {
  getSize(): number
  read(into: Uint8Array, options: { at: number }): number
  write(bytes: Uint8Array, options: { at: number }): number
  truncate(size: number): void
  flush(): void
  close(): void
}

/** How long a file may still be held by a tab or worker that has just ended, and how often is looked, ms. */
const patience = 2_000
const step = 10

/** The directory of a store. Throws where the browser offers none, or none with synchronous access. */
export const opfsDirectory = async (store: string): Promise<Directory> => {
  const root = await navigator.storage.getDirectory()
  const directory = await root.getDirectoryHandle(`weft ${encodeURIComponent(store)}`, { create: true })
  return {
    list: async () => {
      const names: string[] = []
      for await (const name of directory.keys()) names.push(name)
      return names
    },
    has: (name) =>
      directory.getFileHandle(name).then(
        () => true,
        (error: unknown) => unlessAbsent(error) ?? false,
      ),
    open: async (name) => {
      const file = await directory.getFileHandle(name, { create: true })
      if (!hasAccessHandles(file)) throw new Error('This browser has no synchronous access to files.')
      for (let waited = 0; ; waited += step) {
        try {
          return await file.createSyncAccessHandle()
        } catch (error) {
          if (!(error instanceof DOMException && error.name === 'NoModificationAllowedError')) throw error
          if (waited >= patience) throw error
          await new Promise((resolve) => setTimeout(resolve, step))
        }
      }
    },
    remove: (name) => directory.removeEntry(name).catch(unlessAbsent),
  }
}

const unlessAbsent = (error: unknown): undefined => {
  if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error
}

const hasAccessHandles = (
  file: FileSystemFileHandle,
): file is FileSystemFileHandle & { createSyncAccessHandle(): Promise<AccessHandle> } =>
  'createSyncAccessHandle' in file

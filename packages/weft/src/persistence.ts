/**
 * Whether the browser may clear what an app stored when it needs room. It is asked not to, once a page and not before there is something to
 * keep: some browsers ask the person, others decide by how much the app is used.
 */
import type { Files } from '@weft-db/engine'

let asked = false

const ask = async (): Promise<void> => {
  if (asked) return
  asked = true
  // What it answers, and whether it does, changes nothing here.
  if (!(await isPersistent())) await navigator.storage.persist()
}

/** Whether what is stored stays until the person removes it; false where the browser does not say. */
export const isPersistent = async (): Promise<boolean> => {
  const storage: Partial<StorageManager> | undefined = globalThis.navigator?.storage
  return (await storage?.persisted?.().catch(() => false)) ?? false
}

/** The same files. With the first write to one of them the browser is asked to keep them. */
export const keptFiles = (files: Files): Files => ({
  ...files,
  open: async (name, create) => {
    const file = await files.open(name, create)
    if (file === undefined || asked) return file
    return {
      ...file,
      write: (offset, bytes) => {
        ask().catch(() => undefined)
        return file.write(offset, bytes)
      },
    }
  },
})

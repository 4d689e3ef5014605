/** The file by which `weft restore` says that a folder is a backup's, and how old: what was stored after that may be missing. */
import type { Files } from './ports.ts'

const fileName = 'restored'

/** When the backup was made, ms since 1970; undefined in a folder that nobody restored, infinity where the file does not say. */
export const restoredFrom = async (files: Files): Promise<number | undefined> => {
  const file = await files.open(fileName, false)
  if (file === undefined) return undefined
  try {
    const time = Date.parse(String.fromCharCode(...(await file.read(0, 64))).trim())
    return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time
  } finally {
    await file.close()
  }
}

/** What it says was taken into account. */
export const forgetRestored = async (files: Files): Promise<void> => {
  await files.remove(fileName)
  await files.syncNames()
}

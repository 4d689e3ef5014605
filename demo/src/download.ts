/** Gives the person a file. */
export const download = (name: string, content: object): void => {
  const address = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: 'application/json' }))
  Object.assign(document.createElement('a'), { href: address, download: name }).click()
  // The download has begun when the click is over; some browsers read it a little later.
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}

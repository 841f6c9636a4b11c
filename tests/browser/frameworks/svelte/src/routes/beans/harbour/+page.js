/** Takes its time, as one that asks a server. */
export async function load() {
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { title: "Harbour" };
}

/** Takes its time, as one that asks a server. */
export async function generateMetadata() {
  return { title: "Harbour" };
}

export default function Page() {
  return <h1>Harbour</h1>;
}

export const metadata = { title: "Beans" };

export default function Page() {
  return <h1>Beans</h1>;
}

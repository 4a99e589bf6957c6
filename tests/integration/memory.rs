//! Is what the gateway holds in memory kept from core dumps and from the swap?

use testbed::World;
use testbed::gateway::Gateway;

fn line(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("no `{name}` in:\n{text}")).trim_start_matches(name).trim().to_owned()
}

#[tokio::test]
async fn a_gateway_leaves_no_core_dump_and_locks_its_memory_where_it_may() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", gateway.id())).unwrap();
    let limits = of("limits");
    let core = line(&limits, "Max core file size");
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{limits}");
    // Without a limit on locked memory all is locked; with one, nothing is, for the rest could not be had.
    let unlimited = line(&limits, "Max locked memory").starts_with("unlimited");
    let locked = line(&of("status"), "VmLck:");
    assert_eq!(locked != "0 kB", unlimited, "{locked} of memory is locked");
    assert!(gateway.printed().contains("the memory of this process is guarded"), "{}", gateway.printed());
}

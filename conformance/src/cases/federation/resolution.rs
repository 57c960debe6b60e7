//! Where the target finds other servers (LM-04 §12.3), whose names are the suite's to give out.

use crate::case::{Case, Finding, check, named_case};
use crate::cases::steps::named::{is_found, is_not_asked, listener, listener_at_default_port, port, server};
use crate::context::Context;
use crate::network::{Page, Service};

pub(super) const CASES: &[Case] = &[
    named_case!(
        Must,
        [],
        "12.3/explicit-port",
        "a name with a port is looked up by itself, aliases included, and asked at that port",
        ["LM-04/12.3/1", "LM-04/12.3/5", "LM-04/12.3/6"],
        explicit_port
    ),
    named_case!(
        Must,
        [],
        "12.3/delegated-port",
        "a delegation to a name with a port leads to that port of that name",
        ["LM-04/12.3/1", "LM-04/12.3/5", "LM-04/12.3/7", "LM-04/12.3/9"],
        delegated_port
    ),
    named_case!(
        Must,
        [],
        "12.3/delegated-service",
        "a delegation to a name without a port leads to that name's SRV record",
        ["LM-04/12.3/1", "LM-04/12.3/5", "LM-04/12.3/7", "LM-04/12.3/10"],
        delegated_service
    ),
    named_case!(
        Must,
        [],
        "12.3/delegated-default-port",
        "a delegation to a name without a port and SRV record leads to port 8448 of that name",
        ["LM-04/12.3/1", "LM-04/12.3/5", "LM-04/12.3/7", "LM-04/12.3/11"],
        delegated_default_port
    ),
    named_case!(
        Must,
        [],
        "12.3/service",
        "a name without a port and delegation leads to its SRV record",
        ["LM-04/12.3/1", "LM-04/12.3/5", "LM-04/12.3/7", "LM-04/12.3/12"],
        service
    ),
    named_case!(
        Must,
        [],
        "12.3/default-port",
        "a name without a port, delegation and SRV record leads to its port 8448",
        ["LM-04/12.3/1", "LM-04/12.3/5", "LM-04/12.3/7", "LM-04/12.3/13"],
        default_port
    ),
    named_case!(
        Must,
        [],
        "12.3/certificate-for-the-step",
        "at each step only a certificate for the name of the step will do, and no other that is involved",
        ["LM-04/12.3/4", "LM-04/12.3/6", "LM-04/12.3/9", "LM-04/12.3/10", "LM-04/12.3/12", "LM-04/12.4/25"],
        certificate_for_the_step
    ),
];

async fn explicit_port(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let (alias, host) = (network.new_name(), network.new_host());
    network.alias(&alias, &host);
    for name in [&host, &alias] {
        // Neither of these is to be looked at: both lead elsewhere.
        network.open_web(name)?;
        network.well_known(name, Page::delegation("nowhere.suite.example"));
        network.serve_at(name, &Service { target: host.clone(), port: 9 });
        let tcp = listener().await?;
        let named = format!("{name}:{}", port(&tcp)?);
        let peer = server(ctx, &named, tcp, name)?;
        is_found(&peer, &named, "whose name has a port").await?;
        check!(!network.approached_web(name), "the target asked for the delegation of a name with a port");
        check!(!network.asked_for_service(name), "the target asked for the SRV record of a name with a port");
    }
    Ok(())
}

async fn delegated_port(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let (name, delegated, tcp) = (network.new_host(), network.new_host(), listener().await?);
    let to = format!("{delegated}:{}", port(&tcp)?);
    network.open_web(&name)?;
    network.well_known(&name, Page::delegation(&to));
    network.serve_at(&name, &Service { target: delegated.clone(), port: 9 });
    network.serve_at(&delegated, &Service { target: delegated.clone(), port: 9 });
    let peer = server(ctx, &name, tcp, &delegated)?;
    is_found(&peer, &to, &format!("which delegates to {to}")).await?;
    let asked = network.asked_for_service(&delegated);
    check!(!asked, "the target asked for the SRV record of a delegated name with a port");
    Ok(())
}

async fn delegated_service(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let (name, delegated, target) = (network.new_host(), network.new_name(), network.new_host());
    let tcp = listener().await?;
    network.open_web(&name)?;
    network.well_known(&name, Page::delegation(&delegated));
    // That of the delegated name counts.
    network.serve_at(&name, &Service { target: target.clone(), port: 9 });
    network.serve_at(&delegated, &Service { target, port: port(&tcp)? });
    let peer = server(ctx, &name, tcp, &delegated)?;
    is_found(&peer, &delegated, &format!("which delegates to {delegated}, which has an SRV record")).await
}

async fn delegated_default_port(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let (name, delegated) = (network.new_host(), network.new_name());
    let tcp = listener_at_default_port(network, &delegated).await?;
    network.open_web(&name)?;
    network.well_known(&name, Page::delegation(&delegated));
    let peer = server(ctx, &name, tcp, &delegated)?;
    is_found(&peer, &delegated, &format!("which delegates to {delegated}, which is at port 8448")).await?;
    let asked = network.asked_for_service(&delegated);
    check!(asked, "the target did not look for an SRV record of the delegated name");
    Ok(())
}

async fn service(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let (name, target, tcp) = (network.new_host(), network.new_host(), listener().await?);
    network.open_web(&name)?;
    network.serve_at(&name, &Service { target, port: port(&tcp)? });
    let peer = server(ctx, &name, tcp, &name)?;
    is_found(&peer, &name, "which has an SRV record").await?;
    check!(!network.asked_web(&name).is_empty(), "the target did not ask for a delegation first");
    Ok(())
}

async fn default_port(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let name = network.new_name();
    let tcp = listener_at_default_port(network, &name).await?;
    // The web server is at another address than the name: there is no delegation to be had.
    let peer = server(ctx, &name, tcp, &name)?;
    is_found(&peer, &name, "which is at port 8448").await?;
    check!(network.asked_for_service(&name), "the target did not look for an SRV record");
    Ok(())
}

async fn certificate_for_the_step(ctx: &Context) -> Result<(), Finding> {
    let network = ctx.network()?;
    let other = network.new_host();
    // Step 1.
    let (name, tcp) = (network.new_host(), listener().await?);
    let peer = server(ctx, &format!("{name}:{}", port(&tcp)?), tcp, &other)?;
    is_not_asked(&peer, "whose certificate is for another name").await?;
    // Step 2.1: the certificate is for the name that delegates.
    let (name, delegated, tcp) = (network.new_host(), network.new_host(), listener().await?);
    network.open_web(&name)?;
    network.well_known(&name, Page::delegation(&format!("{delegated}:{}", port(&tcp)?)));
    let peer = server(ctx, &name, tcp, &name)?;
    is_not_asked(&peer, "whose certificate is not for the name that it delegates to").await?;
    // Step 2.3: it is for the target of the SRV record.
    let (name, delegated, target) = (network.new_host(), network.new_name(), network.new_host());
    let tcp = listener().await?;
    network.open_web(&name)?;
    network.well_known(&name, Page::delegation(&delegated));
    network.serve_at(&delegated, &Service { target: target.clone(), port: port(&tcp)? });
    let peer = server(ctx, &name, tcp, &target)?;
    is_not_asked(&peer, "whose certificate is for the target of the SRV record of the delegated name")
        .await?;
    // Step 3: likewise.
    let (name, target, tcp) = (network.new_host(), network.new_host(), listener().await?);
    network.open_web(&name)?;
    network.serve_at(&name, &Service { target: target.clone(), port: port(&tcp)? });
    let peer = server(ctx, &name, tcp, &target)?;
    is_not_asked(&peer, "whose certificate is for the target of its SRV record").await
}

//! Classes of a cluster: channel, membership, transport, interceptors.

use super::State::{Gone, Missing, Refused, Used};
use super::{Class, Kind, class};

/// The rows.
pub(super) static CLASSES: &[Class] = &[
    class(
        Kind::Cluster,
        "org.apache.catalina.ha.tcp.SimpleTcpCluster",
        Used,
        "channelSendOptions:o=8 channelStartOptions:i=15 clusterName:s heartbeatBackgroundEnabled:b=false \
         notifyLifecycleListenerOnFailure:b=false",
    ),
    class(
        Kind::Channel,
        "org.apache.catalina.tribes.group.GroupChannel",
        Used,
        "heartbeat:b=true heartbeatSleeptime:l=5000 jmxDomain:s=ClusterChannel jmxEnabled:b=true jmxPrefix:s name:s \
         optionCheck:b=false optionFlag:i=0",
    ),
    class(
        Kind::Membership,
        "org.apache.catalina.tribes.membership.McastService",
        Used,
        "address:s=228.0.0.4 bind:s dropTime:l=3000 frequency:l=500 localLoopbackDisabled:b=false mcastBindAddress:s \
         mcastDropTime:l port:i=45564 recoveryCounter:i=10 recoveryEnabled:b=true recoverySleepTime:l=5000 \
         soTimeout:i=0 ttl:i=0 domain:s",
    ),
    class(
        Kind::Membership,
        "org.apache.catalina.tribes.membership.StaticMembershipService",
        Used,
        "connectTimeout:i=500 expirationTime:l=5000 pingInterval:l=1000 rpcTimeout:l=3000 useThread:b=false domain:s",
    ),
    class(
        Kind::Membership,
        "org.apache.catalina.tribes.membership.cloud.CloudMembershipService",
        Refused,
        "connectTimeout:i=1000 expirationTime:l=5000 membershipProviderClassName:s readTimeout:i=1000",
    ),
    class(
        Kind::Member,
        "org.apache.catalina.tribes.membership.StaticMember",
        Used,
        "host:s hostname:s port:i=0 securePort:i=-1 udpPort:i=-1 uniqueId:s domain:s secure:b=false local:b=false",
    ),
    class(
        Kind::Receiver,
        "org.apache.catalina.tribes.transport.nio.NioReceiver",
        Used,
        "address:s=auto autoBind:i=100 bind:s daemon:b=true direct:b=true host:s maxIdleTime:l=60000 maxTasks:i=100 \
         maxThreads:i=15 minTasks:i=10 minThreads:i=6 ooBInline:b=true port:i=4000 rxBufSize:i=65536 securePort:i=-1 \
         selectorTimeout:l=5000 soKeepAlive:b=false soLingerOn:b=true soLingerTime:i=3 soReuseAddress:b=true \
         soTrafficClass:i=28 tcpNoDelay:b=true timeout:i=3000 txBufSize:i=25188 udpPort:i=-1 udpRxBufSize:i=65536 \
         udpTxBufSize:i=25188 useBufferPool:b=true",
    ),
    class(Kind::Sender, "org.apache.catalina.tribes.transport.ReplicationTransmitter", Used, ""),
    class(
        Kind::Transport,
        "org.apache.catalina.tribes.transport.nio.PooledParallelSender",
        Used,
        "address:s directBuffer:b=false keepAliveCount:i=-1 keepAliveTime:l=-1 maxRetryAttempts:i=1 maxWait:l=3000 \
         ooBInline:b=true poolSize:i=25 port:i=0 rxBufSize:i=25188 soKeepAlive:b=false soLingerOn:b=false \
         soLingerTime:i=3 soReuseAddress:b=true soTrafficClass:i=28 tcpNoDelay:b=true throwOnFailedAck:b=true \
         timeout:l=3000 txBufSize:i=65536 udpBased:b=false udpPort:i=-1 udpRxBufSize:i=25188 udpTxBufSize:i=65536",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.TcpFailureDetector",
        Used,
        "connectTimeout:l=1000 optionFlag:i=0 performReadTest:b=false performSendTest:b=true readTestTimeout:l=5000 \
         removeSuspectsTimeout:i=300",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.MessageDispatchInterceptor",
        Used,
        "alwaysSend:b=true keepAliveTime:l=5000 maxQueueSize:l=67108864 maxSpareThreads:i=2 maxThreads:i=10 \
         optionFlag:i=8 useDeepClone:b=true",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.TcpPingInterceptor",
        Used,
        "interval:l=1000 optionFlag:i=0 staticOnly:b=false useThread:b=false",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.StaticMembershipInterceptor",
        Used,
        "optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.DomainFilterInterceptor",
        Used,
        "domain:s logInterval:i=100 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.OrderInterceptor",
        Used,
        "expire:l=3000 forwardExpired:b=true maxQueue:i=2147483647 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.GzipInterceptor",
        Used,
        "compressionMinSize:i=0 interval:i=0 optionFlag:i=256 statsEnabled:b=false",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.FragmentationInterceptor",
        Used,
        "expire:l=60000 maxSize:i=102400 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.ThroughputInterceptor",
        Used,
        "interval:i=10000 optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.EncryptInterceptor",
        Used,
        "encryptionAlgorithm:s=AES/GCM/NoPadding encryptionKey:s encryptionKeyString:s optionFlag:i=0 providerName:s \
         replayWindowMessageCount:i=8192 replayWindowTime:l=10000 tandemFormat:s",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.NonBlockingCoordinator",
        Refused,
        "optionFlag:i=0",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.TwoPhaseCommitInterceptor",
        Refused,
        "deepclone:b=true expire:l=60000 optionFlag:i=0",
    ),
    class(Kind::ClusterListener, "org.apache.catalina.ha.session.ClusterSessionListener", Used, ""),
    class(
        Kind::Deployer,
        "org.apache.catalina.ha.deploy.FarmWarDeployer",
        Missing("applications are not accepted from the cluster"),
        "deployDir:s maxValidTime:i=300 processDeployFrequency:i=2 tempDir:s watchDir:s watchEnabled:b=false",
    ),
    class(
        Kind::Interceptor,
        "org.apache.catalina.tribes.group.interceptors.MessageDispatch15Interceptor",
        Gone(
            "org.apache.catalina.tribes.group.interceptors.MessageDispatchInterceptor",
            "MessageDispatchInterceptor took its place",
        ),
        "",
    ),
    class(
        Kind::ClusterListener,
        "org.apache.catalina.ha.session.JvmRouteSessionIDBinderListener",
        Gone("", "changed session ids arrive as messages of ClusterSessionListener, so that it may be left out"),
        "",
    ),
    class(
        Kind::ClusterListener,
        "org.apache.catalina.cluster.session.JvmRouteSessionIDBinderListener",
        Gone("", "changed session ids arrive as messages of ClusterSessionListener, so that it may be left out"),
        "",
    ),
];
